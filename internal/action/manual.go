package action

import (
	"fmt"
	"strings"
)

// Manual is the page of an action, made from its definition: what the person reads and
// what lint checks cannot drift apart.
func (a Action) Manual() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\n", a.Name, a.Summary)
	again := "running it twice is running it once"
	if a.Repeat == Once {
		again = "must not run twice; a probe finds out whether it happened"
	}
	fmt.Fprintf(&b, "effect  %s\nrepeat  %s, %s\n", a.Effect, a.Repeat, again)
	if a.HasUndo {
		b.WriteString("undo    yes\n")
	}
	if len(a.Params) > 0 {
		b.WriteString("\narguments\n")
	}
	width := 14
	for _, p := range a.Params {
		width = max(width, len(p.Name))
	}
	for _, p := range a.Params {
		notes := []string{p.Type}
		if p.Required {
			notes = append(notes, "required")
		}
		if p.Default != "" {
			notes = append(notes, "default "+p.Default)
		}
		if len(p.Enum) > 0 {
			notes = append(notes, "one of "+strings.Join(p.Enum, ", "))
		}
		fmt.Fprintf(&b, "  %-*s %s (%s)\n", width, p.Name, p.Help, strings.Join(notes, ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(a.Doc))
	return b.String()
}
