package vault

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"lifeboat/internal/secret"
)

func TestDoctorOfAFolder(t *testing.T) {
	v, dir := fileVault(t)
	must(t, os.Chmod(dir, 0o755))
	v.o.Now = time.Now
	findings, err := v.Doctor(t.Context())
	must(t, err)
	for code, want := range map[string]string{
		"list": FindingOK, "write": FindingOK, "create-once": FindingOK, "read": FindingOK, "listing": FindingOK, "clock": FindingOK,
		"permissions": FindingWarning, "lock": FindingWarning,
	} {
		if got := severityOf(findings, code); got != want {
			t.Errorf("%s: %q, want %q", code, got, want)
		}
	}
	if severityOf(findings, "space") == "" {
		t.Error("no word about free space")
	}
	for _, f := range findings {
		if f.Text == "" || f.Severity == FindingProblem && f.Code != "space" {
			t.Errorf("%+v", f)
		}
		if f.Severity != FindingOK && f.Advice == "" {
			t.Errorf("%s without advice", f.Code)
		}
	}
	if n := len(tree(t, dir)); n != 1 {
		t.Errorf("%d files were left, want the probe", n)
	}

	// A clock that is wrong by a year, and a folder that nobody may write.
	v.o.Now = func() time.Time { return time.Now().AddDate(1, 0, 0) }
	if findings, err := v.Doctor(t.Context()); err != nil || severityOf(findings, "clock") != FindingProblem {
		t.Errorf("clock: %+v, %v", findings, err)
	}
	v.o.Now, v.o.Lock = time.Now, Lock{For: time.Hour}
	f := &faulty{store: v.store, kind: notStored, at: 1, forever: true}
	v.store = f
	findings, err = v.Doctor(t.Context())
	if err != nil || severityOf(findings, "write") != FindingProblem || severityOf(findings, "list") != FindingOK || !f.fired {
		t.Errorf("write: %+v, %v", findings, err)
	}
}

func TestDoctorStops(t *testing.T) {
	v, _ := fileVault(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Doctor(ctx); err == nil {
		t.Error("no error")
	}
}

func TestDoctorOfS3(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0" encoding="UTF-8"?>`
	locked := func(rule string) string {
		return head + `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>` + rule + `</ObjectLockConfiguration>`
	}
	const enabled = head + `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`
	for _, tt := range []struct {
		name, versioning, lock string // "": 404; "403": denied
		want                   time.Duration
		codes                  map[string]string
	}{
		{"all there", enabled, locked(""), time.Hour, map[string]string{"write": "ok", "versioning": "ok", "lock": "ok", "lock-default": ""}},
		{"a short rule of the bucket", enabled, locked(`<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days></DefaultRetention></Rule>`), 100 * time.Hour,
			map[string]string{"lock": "ok", "lock-default": "warning"}},
		{"a rule of the bucket is enough", enabled, locked(`<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Years>1</Years></DefaultRetention></Rule>`), 0,
			map[string]string{"lock": "ok"}},
		{"no locks and none wanted", enabled, "", 0, map[string]string{"versioning": "ok", "lock": "warning"}},
		{"no locks, and wanted", enabled, "", time.Hour, map[string]string{"lock": "problem"}},
		{"no versions", head + `<VersioningConfiguration/>`, "", 0, map[string]string{"versioning": "warning"}},
		{"may not ask", "403", "403", time.Hour, map[string]string{"protection": "problem", "write": "ok"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, _ := amazon(t)
			f.set(nil, func(w http.ResponseWriter, r *http.Request) bool {
				text := tt.versioning
				if r.URL.Query().Has("object-lock") {
					text = tt.lock
				} else if !r.URL.Query().Has("versioning") {
					return false
				}
				switch text {
				case "403":
					return deny(w)
				case "":
					w.WriteHeader(http.StatusNotFound)
					text = head + `<Error><Code>ObjectLockConfigurationNotFoundError</Code><Message>none</Message></Error>`
				}
				io.WriteString(w, text)
				return true
			})
			findings, err := f.open(t, Options{Lock: Lock{For: tt.want}}).Doctor(t.Context())
			must(t, err)
			for code, want := range tt.codes {
				if got := severityOf(findings, code); got != want {
					t.Errorf("%s: %q, want %q in %+v", code, got, want, findings)
				}
			}
		})
	}
}

// A bucket that takes no lock on an object says so to Doctor, and not first at night.
func TestDoctorFindsThatLocksAreRefused(t *testing.T) {
	t.Parallel()
	f, _ := amazon(t)
	f.set(nil, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Object-Lock-Mode") == "" {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>InvalidRequest</Code><Message>Bucket is missing Object Lock Configuration</Message></Error>`)
		return true
	})
	findings, err := f.open(t, Options{Lock: Lock{For: time.Hour}}).Doctor(t.Context())
	if err != nil || severityOf(findings, "object-lock") != FindingProblem || severityOf(findings, "read") != FindingOK {
		t.Errorf("%+v, %v", findings, err)
	}
}

func TestDoctorOfGoogle(t *testing.T) {
	t.Parallel()
	f := google(t)
	v := f.open(t, Options{})
	findings, err := v.Doctor(t.Context())
	if err != nil || severityOf(findings, "write") != FindingOK || severityOf(findings, "create-once") != FindingOK || severityOf(findings, "versioning") != FindingWarning {
		t.Errorf("%+v, %v", findings, err)
	}
	f.set(nil, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/b/backups") {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"kind":"storage#bucket","name":"backups","versioning":{"enabled":true},"objectRetention":{"mode":"Enabled"},`+
			`"retentionPolicy":{"retentionPeriod":"3600","isLocked":true,"effectiveTime":"2026-01-01T00:00:00Z"}}`)
		return true
	})
	findings, err = f.open(t, Options{Lock: Lock{For: 2 * time.Hour}}).Doctor(t.Context())
	if err != nil || severityOf(findings, "versioning") != FindingOK || severityOf(findings, "lock") != FindingOK || severityOf(findings, "lock-default") != FindingWarning {
		t.Errorf("%+v, %v", findings, err)
	}
}

// A break-glass key that nobody has ever tried is worth a warning, until it was.
func TestDoctorAsksForTheBreakGlassKey(t *testing.T) {
	data, err := age.GenerateX25519Identity()
	must(t, err)
	safe, err := age.GenerateX25519Identity()
	must(t, err)
	v, err := Open(t.Context(), "file://"+t.TempDir(), Options{
		Scratch: t.TempDir(), Pause: time.Millisecond, Sign: testKey(5),
		Crypt: Crypt{Scheme: "age", Recipients: []string{data.Recipient().String()}, BreakGlass: safe.Recipient().String()},
	})
	must(t, err)
	defer v.Close()
	backup(t, v, newSource(t), BackupOptions{})
	findings, err := v.Doctor(t.Context())
	if err != nil || severityOf(findings, "break-glass") != FindingWarning {
		t.Errorf("never tried: %+v, %v", findings, err)
	}
	_, err = v.TestKey(t.Context(), secret.New(safe.String()))
	must(t, err)
	if findings, err = v.Doctor(t.Context()); err != nil || severityOf(findings, "break-glass") != FindingOK {
		t.Errorf("tried: %+v, %v", findings, err)
	}
}
