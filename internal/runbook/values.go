package runbook

// Values reads a file of YAML as the front matter and the blocks of runbooks are read,
// with the same bounds: a mapping of nil, string, bool, int64, float64, []any and
// map[string]any. A number is one only when its text survives. at has the place of each
// key and entry by its path, "break.sh" or "prepare[0]". Values never panics.
func Values(file string, src []byte) (values map[string]any, at map[string]Pos, problems []Problem) {
	p := &parser{book: &Book{File: file}}
	values, at = map[string]any{}, map[string]Pos{}
	text, bad := readable(file, src)
	if bad != nil {
		return values, at, []Problem{*bad}
	}
	y := &yamlText{p: p, at: func(line, col int) Pos { return Pos{file, max(line, 1), max(col, 1)} }}
	for _, e := range y.root(string(text)) {
		at[e.key] = e.pos
		values[e.key] = y.value(e.value, e.key, at)
	}
	return values, at, p.problems
}
