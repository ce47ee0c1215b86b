// Package notify holds the action that tells people, and the [Sender] that everything
// else in Lifeboat tells them with: one mechanism, whether a step says it, a backup that
// failed at night, or a test of the channels.
//
// A dead channel never holds up a recovery and never goes unnoticed. Every channel has so
// many tries and so much time; what was not delivered stands in words in the result, is a
// note in the record of the run, and is told to the channels that live. Only a step that
// says "required: true" fails.
//
// Addresses of channels are secrets. They come from the environment or a file, are handed
// to the redactor before they are used, and no error repeats them.
package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/action"
	"lifeboat/internal/alert"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

const doc = `Tells people through the channels under ` + "`alerts:`" + ` of lifeboat.yaml: webhooks, chat, mail and
pager services, programs. Every channel has three tries and half a minute. One that is dead
does not fail the step: the result says NOT DELIVERED, it stays on record, and the other
channels are told. Where the estate has no channel the step says so, and asks you to tell the
people yourself.

` + "```notify.send" + `
event: recovered
text: The bookings are back, nothing is lost. Work as usual.
` + "```" + `

The event decides who is told: a channel has a list of those that it wants, its ` + "`on:`" + `.

    alerts:
      - name: team
        url: env:TEAM_ALERTS              # https://hooks.example.com/..., slack://..., ntfy://...
        on: [recovery-begun, recovered, not-recovered]
      - name: pager
        url: file:./secret/pager.url
        template: "{{.Short}}{{if .Advice}} - {{.Advice}}{{end}}"
      - name: boss
        url: env:BOSS_ALERTS
        template: {recovered: "{{.Asset}} is back.", default: short}   # for each event
      - command: [./tell.sh]              # gets the message as JSON on its standard input

An address with a token in it stands in a variable or a file, never in lifeboat.yaml. Beside
http and https, which get JSON, it can be of any service of shoutrrr: SERVICES.
In a drill only the sandbox's own alerts.sandbox is reached.

The events are EVENTS.
A template may name FIELDS;
it knows {{if}}, {{else}}, eq, ne, and, or, not, upper and lower. The words short and long are
the two forms that every message has.
`

// Deps are what the action needs of the rest.
type Deps struct {
	Sender *Sender // required
	// Channels lists those of the estate.
	Channels func() []Channel // required
	// People lists whom to tell by hand where there is no channel: "Technical Lead, +27 11 555 0100".
	People func() []string // nil: nobody is known
	// About fills in what a message says of where it comes from.
	About func(m alert.Message) alert.Message // nil: nothing
}

type params struct {
	Event    string   `param:"event" help:"what happened; it decides which channels are told" default:"info"`
	Text     string   `param:"text" help:"what to say; the event's own words when left out"`
	Advice   string   `param:"advice" help:"what the readers can do"`
	To       []string `param:"to" help:"names of channels, whatever events they want; left out: all that want the event"`
	Asset    string   `param:"asset" help:"the asset that it is about"`
	Level    int      `param:"level" help:"of the incident, 1 to 3"`
	Required bool     `param:"required" help:"fail when not everybody was told"`
}

// Actions lists the family.
func Actions(d Deps) []action.Action {
	manual := strings.NewReplacer("SERVICES", wrap(alert.Services()), "EVENTS", wrap(alert.Events()), "FIELDS", wrap(alert.Fields())).Replace(doc)
	return []action.Action{action.New(action.Def[params]{
		Name: "notify.send", Summary: "Tell people through the channels of the estate", Doc: manual,
		Effect: action.Write, Repeat: action.Safe,
		Check: check, Plan: d.plan, Run: d.run,
	})}
}

// wrap writes a list as lines of a manual.
func wrap(list []string) string {
	const width = 76
	var b strings.Builder
	column := 40 // it begins in the middle of a sentence
	for i, s := range list {
		if i > 0 {
			b.WriteString(",")
			if column += len(s) + 2; column > width {
				b.WriteString("\n")
				column = len(s)
			} else {
				b.WriteString(" ")
			}
		}
		b.WriteString(s)
	}
	return b.String()
}

func check(p params) error {
	if !slices.Contains(alert.Events(), p.Event) {
		return &action.ArgError{Name: "event", Msg: fmt.Sprintf("there is no event %q", p.Event), Fix: "the events are " + strings.Join(alert.Events(), ", ")}
	}
	if p.Level < 0 || p.Level > 3 {
		return &action.ArgError{Name: "level", Msg: fmt.Sprintf("%d is no level", p.Level), Fix: "write 1, 2 or 3"}
	}
	return nil
}

// chosen lists the channels that a step tells.
func (d Deps) chosen(p params) ([]Channel, error) {
	all := d.Channels()
	if len(p.To) == 0 {
		return slices.DeleteFunc(slices.Clone(all), func(c Channel) bool { return !c.Wants(p.Event) }), nil
	}
	var out []Channel
	for _, name := range p.To {
		i := slices.IndexFunc(all, func(c Channel) bool { return c.Name == name })
		if i < 0 {
			var names []string
			for _, c := range all {
				names = append(names, c.Name)
			}
			advice := "the estate has none: add them under alerts: in lifeboat.yaml"
			if len(names) > 0 {
				advice = "the channels are " + strings.Join(names, ", ")
			}
			return nil, hint.Wrap(fmt.Errorf("%w: there is no channel %q", action.ErrRefused, name), advice)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// message is what a step says.
func (d Deps) message(env *action.Env, p params) alert.Message {
	m := alert.Message{
		Event: p.Event, Text: p.Text, Advice: p.Advice, Asset: p.Asset, Level: p.Level,
		Runbook: env.Book, Run: env.RunID, Step: env.Step, By: env.By, Time: env.Now(), Drill: env.Drill,
	}
	if d.About != nil {
		m = d.About(m)
	}
	if d.Sender.Redact != nil {
		m.Text, m.Advice = d.Sender.Redact(m.Text), d.Sender.Redact(m.Advice)
	}
	return m.Clean()
}

func (d Deps) plan(_ context.Context, env *action.Env, p params) (action.Plan, error) {
	list, err := d.chosen(p)
	if err != nil {
		return action.Plan{}, err
	}
	m := d.message(env, p)
	plan := action.Plan{
		Stop: "Yes: who was told stays told, and nobody is told twice.", Target: "nobody",
		Lines: []action.Line{{Label: "says", Text: m.Title() + ": " + m.Wire("", "").Detail}}, // whole: it is approved as it is read
	}
	if len(list) == 0 {
		// Also with required: Run is what fails then, and says why.
		plan.Effect, plan.Nothing = action.Read, !p.Required
		plan.Summary = "tells nobody: " + d.nobody(p) + "; tell the people yourself"
		for _, who := range d.people() {
			plan.Lines = append(plan.Lines, action.Line{Label: "tell", Text: who})
		}
		return plan, nil
	}
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
		plan.Lines = append(plan.Lines, action.Line{Label: "tells", Text: fmt.Sprintf("%s, %s", c.Name, c.What())})
	}
	plan.Target = strings.Join(names, ", ")
	plan.Summary = fmt.Sprintf("tells %s: %s", plan.Target, m.Short())
	return plan, nil
}

// nobody says why no channel is told.
func (d Deps) nobody(p params) string {
	if len(d.Channels()) == 0 {
		return "there is no channel under alerts: in lifeboat.yaml"
	}
	return "no channel wants the event " + p.Event
}

func (d Deps) people() []string {
	if d.People == nil {
		return nil
	}
	return d.People()
}

func (d Deps) run(ctx context.Context, env *action.Env, p params, _ action.Plan) (action.Result, error) {
	list, err := d.chosen(p)
	if err != nil {
		return action.Result{}, err
	}
	m := d.message(env, p)
	res := action.Result{Outputs: map[string]any{"told": int64(0), "dead": int64(0), "channels": []string{}, "message": m.Long()}}
	if len(list) == 0 {
		return d.byHand(env, p, m, res)
	}
	env.Printf("%s\n", m.Long())
	fence := env.Fence
	if !env.Drill && fence != nil {
		fence = env.Allowed // whoever sets a fence outside of a drill means it, too
	}
	deliveries := d.Sender.Send(ctx, list, m, fence)
	if err := ctx.Err(); err != nil {
		return res, err
	}
	var said, dead, told, names []string
	for _, one := range deliveries {
		env.Printf("%s", one)
		said = append(said, one.Brief())
		if !one.Done {
			dead, names = append(dead, one.String()), append(names, one.Channel)
			continue
		}
		told = append(told, one.Channel)
	}
	res.Evidence = strings.Join(said, "; ")
	res.Outputs["told"], res.Outputs["dead"] = int64(len(told)), int64(len(dead))
	if told != nil {
		res.Outputs["channels"] = told
	}
	if len(dead) == 0 {
		return res, nil
	}
	do := "tell the readers of " + strings.Join(names, ", ") + " yourself"
	if told == nil {
		do = "tell " + d.whom() + " yourself"
		res.Evidence = fmt.Sprintf("NOBODY WAS TOLD: %s; %s: %s", res.Evidence, do, m.Short())
	}
	if p.Required {
		return res, hint.Wrap(fmt.Errorf("not everybody was told: %s", strings.Join(dead, "; ")), strings.Trim(do+"; "+Advice(deliveries), "; "))
	}
	env.Remark("%s. %s of %q", strings.Join(dead, "; "), sentence(do), m.Short())
	return res, nil
}

// whom names the people to tell by hand.
func (d Deps) whom() string {
	return cmp.Or(strings.Join(d.people(), "; "), "whoever has to know")
}

// byHand is what happens where there is nobody to send to.
func (d Deps) byHand(env *action.Env, p params, m alert.Message, res action.Result) (action.Result, error) {
	why, whom := d.nobody(p), d.whom()
	env.Printf("%s. Tell %s yourself:\n\n%s\n", sentence(why), whom, m.Long())
	res.Evidence = fmt.Sprintf("NOBODY WAS TOLD: %s; tell %s yourself: %s", why, whom, m.Short())
	if p.Required {
		return res, hint.Wrap(errors.New("nobody was told: "+why), "tell "+whom+" yourself, then override this step; add a channel under alerts: in lifeboat.yaml")
	}
	env.Remark("Nobody was told of %q: %s. Tell %s yourself.", m.Short(), why, whom)
	return res, nil
}

// sentence begins a text with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return printable.Line(strings.ToUpper(s[:1]) + s[1:])
}
