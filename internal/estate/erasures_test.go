package estate_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/estate"
)

func TestErasures(t *testing.T) {
	head := "assets:\n  db:\n    kind: sqlite\n    path: a.db\n    erasures:\n"
	e, bad := estate.Load("/srv/lifeboat.yaml", []byte(head+`      register: gdpr/erasures.jsonl
      statements:
        - delete from payments where customer = :subject;
        - {sql: "UPDATE customers SET name = '' WHERE id = :subject", check: "SELECT count(*) FROM customers WHERE id = :subject AND name <> ''"}
`))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	got := e.Assets[0].Erasures
	if got.Register != filepath.Join("/srv", "gdpr/erasures.jsonl") || len(got.Statements) != 2 || got.Statements[0].Check != "SELECT count(*) FROM payments where customer = :subject" {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]string{
		"      statements: [\"DELETE FROM a WHERE id = :subject\"]\n": "no register",
		"      register: x\n": "no statements",
		"      register: x\n      statements: [\"UPDATE a SET b = 1 WHERE id = :subject\"]\n":         "its check follow",
		"      register: x\n      statements: [\"DELETE FROM a WHERE id = :subject RETURNING *\"]\n":  "its check follow",
		"      register: x\n      statements: [\"DELETE FROM a\"]\n":                                  "does not use :subject",
		"      register: x\n      statements: [{sql: \"DELETE FROM a WHERE id = :subject\"}]\n":       "needs sql and check",
		"      register: x\n      statements: []\n":                                                   "must be a list",
		"      register: x\n      statement: [\"DELETE FROM a WHERE id = :subject\"]\n":               "statement",
		"      register: ~/x\n      statements: [\"DELETE FROM a WHERE id = :subject\"]\n":            "not expanded",
		"      register: x\n      statements: [{sql: \"UPDATE a SET b = 1\", check: \"SELECT 1\"}]\n": "does not use :subject",
	} {
		if _, bad := estate.Load("/srv/lifeboat.yaml", []byte(head+text)); !strings.Contains(fmt.Sprint(bad), want) {
			t.Errorf("%q: %v, want %q", text, bad, want)
		}
	}
}
