package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"lifeboat/internal/durable"
)

// Alert is one that http://alerts.sandbox received, also one that it then refused.
type Alert struct {
	At          time.Time `json:"at"`
	Path        string    `json:"path"`
	ContentType string    `json:"content_type"`
	Body        string    `json:"body"`
	Status      int       `json:"status"` // that was answered; 0: none was
}

const (
	alertsName = "alerts.jsonl"
	refuseName = "alerts.fail"
)

// Alerts lists what the alert channel of the sandbox has received, the oldest first.
func (s *Sandbox) Alerts() ([]Alert, error) {
	text, err := os.ReadFile(s.runtime(alertsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the alerts of the sandbox: %w", err)
	}
	var out []Alert
	for line := range bytes.Lines(text) {
		var a Alert
		if json.Unmarshal(line, &a) == nil { // the last line may be cut
			out = append(out, a)
		}
	}
	return out, nil
}

// KeepAlert puts a received alert on record.
func (s *Sandbox) KeepAlert(a Alert) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.runtime(alertsName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// Ways for the alert channel to fail. An HTTP status in words, as "503", does too.
const (
	AlertsDrop = "drop" // the connection ends without an answer
	AlertsHang = "hang" // no answer comes
)

// FailAlerts makes the alert channel fail from now on, also for processes that are started
// later. "" mends it.
func (s *Sandbox) FailAlerts(how string) error {
	if how == "" {
		if err := os.Remove(s.runtime(refuseName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := durable.MkdirAll(s.runtime("")); err != nil {
		return err
	}
	return durable.WriteFile(s.runtime(refuseName), []byte(how), 0o600)
}

// AlertsFail tells how the alert channel fails, "" when it works.
func (s *Sandbox) AlertsFail() string {
	how, err := os.ReadFile(s.runtime(refuseName))
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(how))
}
