package estate

import (
	"slices"
	"strings"
	"testing"
)

func TestClones(t *testing.T) {
	e, bad := Load("/srv/lifeboat.yaml", []byte("assets:\n  m: {kind: git, path: mine, clones: [../home/k.lind/m, /home/j.park/m]}\n"))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if want := []string{"/home/k.lind/m", "/home/j.park/m"}; !slices.Equal(e.Assets[0].Clones, want) {
		t.Errorf("clones %q, want %q", e.Assets[0].Clones, want)
	}
	for text, want := range map[string]string{
		"{kind: git, path: a, clones: b}":                      "clones must be a list",
		"{kind: git, path: a, clones: [a]}":                    "the asset's own path",
		"{kind: git, path: a, remote: o.git, clones: [o.git]}": "the asset's own path",
		"{kind: git, path: a, clones: [b, b]}":                 "listed twice",
		"{kind: git, path: a, clones: ['https://h/x.git']}":    "not a \"https\" address",
		"{kind: git, path: a, clones: [~/m]}":                  "is not expanded",
		"{kind: sqlite, path: a.db, clones: [b]}":              "is for repositories",
	} {
		_, bad := Load("/srv/lifeboat.yaml", []byte("assets: {a: "+text+"}\n"))
		if len(bad) == 0 || !strings.Contains(bad[0].Error(), want) {
			t.Errorf("%s: %v, want %q", text, bad, want)
		}
	}
}
