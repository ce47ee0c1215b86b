package estate

import "slices"

// Named lists what of the estate a parameter may name: the assets of a kind, the
// applications ("app"), the files assets that hold secrets ("secrets") or do not ("files").
// Where none is told from the other all files assets count.
func (e *Estate) Named(of string) []string {
	var out []string
	switch of {
	case "app":
		for _, a := range e.Apps {
			out = append(out, a.Name)
		}
		return out
	case "secrets", Files:
		all := e.OfKind(Files)
		list := slices.DeleteFunc(slices.Clone(all), func(a Asset) bool { return a.Secret != (of == "secrets") })
		if len(list) == 0 {
			list = all
		}
		return names(list)
	}
	return names(e.OfKind(of))
}

func names(list []Asset) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.Name)
	}
	return out
}
