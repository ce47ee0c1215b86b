package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/action"
)

func TestParse(t *testing.T) {
	const tf = `resource "aws_instance" "web" { # a comment with "
  ami  = "ami-${var.id["a"]}" // and }
  tags = { Name = "a \" b", Cost = "$${literal" }
  /* { */
  user_data = <<-EOT
    { " never closed
  EOT
}
`
	for name, c := range map[string]struct {
		file, text, bad string
	}{
		"hcl": {"a.tf", tf, ""}, "hcl cut": {"a.tf", tf[:60], "not closed"}, "hcl, one bracket too many": {"a.tf", tf + "}\n", "line 9"},
		"hcl, a string": {"a.tf", "a = \"b\n", "string does not end"}, "hcl, here-document": {"a.tf", "a = <<EOT\nx\n", "EOT"},
		"hcl, wrong bracket": {"a.tfvars", "a = [1, 2}\n", "closes nothing"}, "hcl, comment": {"a.hcl", "/* a\n", "comment"},
		"yaml": {"a.yml", "a: {b: [1]}\n---\nc: d\n", ""}, "yaml cut": {"a.yaml", "a: {b: [1\n", "a.yaml"}, "yaml tabs": {"a.yaml", "a:\n\t- b\n", "a.yaml"},
		"template": {"a.yaml", "{{ if x }}\na: b\n{{ end }}\n", "at least 1"}, "json": {"a.json", "[1]", ""}, "json cut": {"a.json", "[1", "a.json"},
		"something else": {"a.txt", "{", "at least 1"},
	} {
		b := newBench(t)
		dir := filepath.Join(b.dir, "restored")
		must(t, os.MkdirAll(filepath.Join(dir, "deep"), 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "deep", c.file), []byte(c.text), 0o600))
		s, err := b.plan("files.parse", map[string]any{"dir": "restored"})
		must(t, err)
		_, err = call(t.Context(), s)
		if c.bad == "" && err != nil || c.bad != "" && (!errors.Is(err, action.ErrCheck) || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := newBench(t)
	s, err := b.plan("files.parse", map[string]any{"dir": "nowhere"})
	must(t, err)
	if _, err := call(t.Context(), s); !errors.Is(err, action.ErrCheck) {
		t.Errorf("nothing there: %v", err)
	}
}
