package console

import (
	"image/color"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"

	"lifeboat/internal/console/look"
	"lifeboat/internal/console/widget"
)

// Libraries that draw give lines with escape sequences. They are not shown as they are:
// each role is handed to them as a colour of its own, and found again in what they drew.
// So a theme, a terminal without colours and the fading behind a card hold for them too.

// roleColor stands for a role in the output of a library.
func roleColor(r widget.Role) color.Color { return lipgloss.ANSIColor(16 + int(r)) }

// roleStyle is the style of a role for a library.
func roleStyle(r widget.Role) lipgloss.Style { return lipgloss.NewStyle().Foreground(roleColor(r)) }

// foreignRows takes what a library drew apart into rows. Text without a colour of ours is
// of the role plain; every sequence but colours is dropped.
func foreignRows(drawn string, plain widget.Role) []row {
	var rs []row
	for _, l := range strings.Split(drawn, "\n") {
		rs = append(rs, line(foreignSpans(l, plain)...))
	}
	return rs
}

func foreignSpans(l string, plain widget.Role) []span {
	var out []span
	now := span{role: plain}
	for l != "" {
		i := strings.IndexByte(l, '\x1b')
		if i < 0 {
			i = len(l)
		}
		if i > 0 {
			now.text = l[:i]
			out = append(out, now)
		}
		if i == len(l) {
			break
		}
		var params string
		if params, l = cutEscape(l[i+1:]); params != "-" {
			now.obey(params, plain)
		}
	}
	return out
}

// cutEscape takes a sequence off the front of s, behind its escape. Params are those of a
// colour sequence, "-" when it was another one.
func cutEscape(s string) (params, rest string) {
	body, ok := strings.CutPrefix(s, "[")
	if !ok {
		return "-", s
	}
	end := strings.IndexFunc(body, func(r rune) bool { return r >= '@' && r <= '~' })
	switch {
	case end < 0:
		return "-", ""
	case body[end] != 'm':
		return "-", body[end+1:]
	}
	return body[:end], body[end+1:]
}

// obey takes the parameters of a colour sequence.
func (s *span) obey(params string, plain widget.Role) {
	list := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(list) == 0 {
		list = []string{"0"}
	}
	for i := 0; i < len(list); i++ {
		switch n, _ := strconv.Atoi(list[i]); n {
		case 0:
			*s = span{role: plain}
		case 1:
			s.attr |= widget.Bold
		case 4:
			s.attr |= widget.Under
		case 7:
			s.attr |= widget.Invert
		case 22:
			s.attr &^= widget.Bold
		case 24:
			s.attr &^= widget.Under
		case 27:
			s.attr &^= widget.Invert
		case 39:
			s.role = plain
		case 38, 48:
			if i+2 < len(list) && list[i+1] == "5" {
				if c, _ := strconv.Atoi(list[i+2]); n == 38 && c >= 16 && c-16 < int(look.Themed) {
					s.role = widget.Role(c - 16)
				}
				i += 2
			} else { // 38;2;r;g;b is none of ours
				i += 4
			}
		}
	}
}
