package sandbox

import (
	"fmt"
	"strings"
)

// schema is the booking database; it is also the first migration of the monorepo.
const schema = `CREATE TABLE customers (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  email      TEXT NOT NULL,
  phone      TEXT NOT NULL,
  created_at TEXT NOT NULL
);
CREATE TABLE staff (
  id     INTEGER PRIMARY KEY,
  name   TEXT NOT NULL,
  email  TEXT NOT NULL UNIQUE,
  role   TEXT NOT NULL,
  active INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE services (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL UNIQUE,
  minutes     INTEGER NOT NULL CHECK (minutes > 0),
  price_cents INTEGER NOT NULL CHECK (price_cents >= 0)
);
CREATE TABLE appointments (
  id          INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  staff_id    INTEGER NOT NULL REFERENCES staff (id),
  service_id  INTEGER NOT NULL REFERENCES services (id),
  starts_at   TEXT NOT NULL,
  status      TEXT NOT NULL CHECK (status IN ('booked', 'confirmed', 'done', 'cancelled', 'no-show')),
  created_at  TEXT NOT NULL,
  updated_at  TEXT NOT NULL
);
CREATE TABLE payments (
  id             INTEGER PRIMARY KEY,
  appointment_id INTEGER NOT NULL REFERENCES appointments (id),
  amount_cents   INTEGER NOT NULL,
  method         TEXT NOT NULL,
  reference      TEXT NOT NULL,
  paid_at        TEXT NOT NULL
);
`

// indexes are made after the rows, which is several times faster.
const indexes = `CREATE UNIQUE INDEX customers_email ON customers (email);
CREATE UNIQUE INDEX appointments_slot ON appointments (staff_id, starts_at);
CREATE INDEX appointments_customer ON appointments (customer_id);
CREATE INDEX appointments_day ON appointments (starts_at, status);
CREATE INDEX payments_appointment ON payments (appointment_id);
CREATE UNIQUE INDEX payments_reference ON payments (reference);
`

var verbs = []string{"load", "list", "find", "create", "update", "cancel", "validate", "format", "sync", "count", "merge", "notify"}

func functionName(r *random, c component) string {
	name := pick(r, verbs) + pick(r, c.nouns)
	if r.chance(40) {
		name += pick(r, []string{"ById", "ForStaff", "ForDay", "InRange", "OrNull", "Batch"})
	}
	return name
}

// function writes plausible TypeScript. Asked again for the same name it gives another
// body, which is how a function gets changed.
func function(r *random, c component, name string) string {
	noun := pick(r, c.nouns)
	table := strings.ToLower(noun) + "s"
	limit := r.between(1, 20) * 25
	switch r.below(6) {
	case 0:
		return fmt.Sprintf("export async function %s(tenant: string, limit = %d) {\n  const rows = await db.%s.findMany({ where: { tenant }, take: limit });\n  log.debug(\"%s\", { rows: rows.length });\n  return rows;\n}\n", name, limit, table, name)
	case 1:
		return fmt.Sprintf("const %sInput = z.object({ id: z.string().uuid(), note: z.string().max(%d).optional() });\n\nexport async function %s(raw: unknown) {\n  const input = %sInput.parse(raw);\n  return db.%s.update({ where: { id: input.id }, data: { note: input.note ?? null } });\n}\n", name, limit, name, name, table)
	case 2:
		return fmt.Sprintf("export function %s(items: %s[], now = new Date()): %s[] {\n  return items\n    .filter((item) => item.startsAt > now)\n    .sort((a, b) => a.startsAt.getTime() - b.startsAt.getTime())\n    .slice(0, %d);\n}\n", name, noun, noun, limit)
	case 3:
		return fmt.Sprintf("export async function %s(id: string): Promise<%s | null> {\n  const found = await cache.get(`%s:${id}`, { ttl: %d });\n  if (found) return found as %s;\n  return db.%s.findUnique({ where: { id } });\n}\n", name, noun, table, limit, noun, table)
	case 4:
		return fmt.Sprintf("export async function %s(ids: string[]) {\n  for (const part of chunk(ids, %d)) {\n    await db.transaction(async (tx) => {\n      await tx.%s.deleteMany({ where: { id: { in: part }, status: \"cancelled\" } });\n    });\n  }\n}\n", name, limit, table)
	}
	return fmt.Sprintf("export function %s(value: number): string {\n  if (!Number.isFinite(value)) throw new RangeError(\"%s: not a number\");\n  return new Intl.NumberFormat(\"en-ZA\", { maximumFractionDigits: %d }).format(value);\n}\n", name, name, limit%4)
}

func unitTest(r *random, name string) string {
	return fmt.Sprintf("describe(\"%s\", () => {\n  it(\"%s\", async () => {\n    expect(await %s(fixture(%d))).toMatchSnapshot();\n  });\n});\n",
		name, pick(r, []string{"keeps the order", "refuses an empty list", "survives a change of clocks", "returns null for a stranger"}), name, r.between(1, 9))
}

// topic is a feature that somebody works on in a branch of its own.
type topic struct {
	branch   string
	where    string // component directory
	subjects []string
}

var topics = []topic{
	{"waitlist", "apps/booking", []string{"let customers join a waitlist", "offer freed slots to the waitlist", "expire offers after 30 minutes", "show the position in the waitlist", "test the waitlist with two offers at once"}},
	{"sms-reminders", "apps/notifier", []string{"send reminders by SMS", "retry a failed SMS twice", "respect quiet hours", "stop reminders for cancelled bookings"}},
	{"recurring-appointments", "packages/calendar", []string{"expand weekly recurrences", "skip public holidays in a series", "move a single occurrence", "limit a series to one year", "explain why an occurrence is missing"}},
	{"deposits", "apps/booking", []string{"ask for a deposit over 500", "refund the deposit when staff cancels", "show the deposit on the receipt", "round deposits to whole cents"}},
	{"staff-calendar", "apps/dashboard", []string{"draw a week per staff member", "drag a shift to another day", "print the week", "load only the visible weeks"}},
	{"gift-vouchers", "apps/booking", []string{"sell vouchers", "redeem a voucher in part", "warn before a voucher expires"}},
	{"ical-export", "packages/calendar", []string{"export bookings as iCalendar", "sign the feed address", "send time zones in the feed"}},
	{"no-show-fees", "apps/dashboard", []string{"mark a no-show in one click", "charge the no-show fee", "let a manager waive the fee", "report fees per month"}},
	{"multi-location", "packages/db", []string{"give every appointment a location", "move staff between locations", "filter availability by location", "migrate old rows to the main location", "index appointments by location"}},
	{"intake-forms", "apps/booking", []string{"attach a form to a service", "store answers with the booking", "hide answers from reception"}},
	{"reschedule-links", "apps/notifier", []string{"put a reschedule link into mails", "make the link single use", "let the link expire after the appointment"}},
	{"dark-mode", "packages/ui", []string{"name the colours", "follow the system setting", "raise contrast of disabled slots"}},
	{"audit-log", "packages/db", []string{"write who changed a booking", "keep the log for seven years", "show the log to owners"}},
	{"rate-limits", "packages/auth", []string{"limit sign-in attempts", "lock an account for ten minutes", "tell support about locked accounts", "count per address and per account"}},
	{"passkeys", "packages/auth", []string{"register a passkey", "sign in with a passkey", "fall back to a mailed code"}},
	{"revenue-report", "apps/dashboard", []string{"sum revenue per service", "compare with last month", "export the report as CSV", "cache the report for an hour"}},
	{"offline-checkin", "apps/dashboard", []string{"queue check-ins without a network", "replay the queue in order", "show what is not sent yet"}},
	{"group-sessions", "apps/booking", []string{"book several people into one slot", "show the places left", "cancel one person of a group", "price groups per head"}},
	{"staff-absence", "apps/dashboard", []string{"record an absence", "offer to move bookings of absent staff", "show absences in the week", "count days of leave"}},
	{"email-templates", "apps/notifier", []string{"edit templates in the dashboard", "preview a template with a real booking", "fall back to the built-in text"}},
	{"tenant-branding", "packages/ui", []string{"load colours of the tenant", "check contrast of tenant colours", "show the logo on receipts"}},
	{"feature-flags", "packages/config", []string{"read flags from the database", "cache flags for a minute", "override a flag in tests", "list flags nobody reads"}},
	{"customer-merge", "packages/db", []string{"find customers with the same phone", "merge two customers", "keep both histories after a merge", "undo a merge within a day"}},
	{"week-numbers", "packages/calendar", []string{"show week numbers", "start the week as the locale does", "jump to a week"}},
	{"two-factor", "packages/auth", []string{"ask managers for a second factor", "print recovery codes", "remember a device for a month", "log every use of a recovery code"}},
	{"walk-ins", "apps/dashboard", []string{"add a customer without a booking", "guess the waiting time", "turn a walk-in into a booking"}},
	{"receipts", "apps/booking", []string{"number receipts without gaps", "send the receipt after payment", "download receipts of a year", "show tax per line"}},
	{"webhooks", "apps/notifier", []string{"call a webhook on every booking", "sign webhook bodies", "stop calling a dead address", "show the last ten calls"}},
	{"env-check", "packages/config", []string{"check the environment at start", "name the missing variable", "never print its value"}},
	{"archive-rows", "packages/db", []string{"move old bookings to an archive table", "read the archive in reports", "archive in small batches"}},
	{"keyboard", "packages/ui", []string{"move in the calendar with arrow keys", "close dialogs with escape", "announce changes to screen readers"}},
	{"price-rules", "apps/booking", []string{"price by time of day", "cap discounts at 40 percent", "explain the price to the customer"}},
}

var fixes = []string{
	"stop double booking across midnight", "keep the time zone of the customer", "do not send empty mails", "close the session on sign-out",
	"count cancelled bookings once", "wait for the transaction before the redirect", "trim names before comparing", "handle a slot without staff",
	"show the right currency", "retry when the database is busy", "reject a booking in the past", "sort staff by name",
	"survive a missing profile picture", "escape customer names in the export", "round half cents up", "close the database on shutdown",
	"ignore a second click on Pay", "keep the chosen day after sign-in", "show an error instead of a blank page", "use the address of the location in mails",
	"count the day in the zone of the shop", "log the id and not the name", "stop the spinner after an error", "free the slot when the form is left",
}

var chores = []string{
	"remove a dead feature flag", "rename a confusing type", "split a file that grew too long", "make the linter happy",
	"shorten the log lines", "drop support for the old API", "move constants next to their use", "type the configuration",
	"update snapshots", "delete an unused dependency", "use the shared logger", "turn on strict null checks",
}
