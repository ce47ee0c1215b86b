package alert

import "errors"

// Try is Render without its way out. A text that does not fit is no failure.
func (t Template) Try(m Message) error {
	if t.tree == nil {
		return nil
	}
	if _, err := t.execute(m); !errors.Is(err, errFull) {
		return err
	}
	return nil
}
