package incident

import (
	"fmt"

	"lifeboat/internal/printable"
	"lifeboat/internal/run"
)

// Hands says in a sentence what an event says about who drives; empty for other events.
func Hands(ev run.Event) string {
	text := ""
	switch b := ev.Body.(type) {
	case run.Request:
		text = fmt.Sprintf("%s asks to drive.", b.Who.By)
		if ev.Kind == run.TakeoverRefused {
			text = fmt.Sprintf("%s keeps the run, %s watches on.", b.By, b.Who.By)
		}
	case run.Handover:
		switch b.How {
		case run.Given:
			text = fmt.Sprintf("%s drives: %s gave the run over.", b.To.By, b.From.By)
		case run.NoAnswer:
			text = fmt.Sprintf("%s drives: %s did not answer.", b.To.By, b.From.By)
		case run.Gone:
			text = fmt.Sprintf("%s drives: the terminal of %s is gone.", b.To.By, b.From.By)
		case run.Returned:
			text = fmt.Sprintf("%s is back, and drives at another terminal.", b.To.By)
		}
	}
	return printable.Line(text)
}
