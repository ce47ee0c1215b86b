package action

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/secret"
)

type every struct {
	Branch string            `param:"branch,required" help:"a branch"`
	Mode   string            `param:"mode" help:"how" default:"auto" enum:"auto,full"`
	Force  bool              `param:"force" help:"or not"`
	Count  int               `param:"count" help:"how many" default:"3"`
	Size   int64             `param:"size" help:"bytes"`
	Since  time.Duration     `param:"since" help:"how far back" default:"24h"`
	Files  []string          `param:"files" help:"which"`
	Rows   map[string]string `param:"rows" help:"of what"`
	Key    secret.String     `param:"key" help:"a key"`
}

func example(run func(p every)) Action {
	return New(Def[every]{
		Name: "test.every", Summary: "Take every kind of argument", Doc: "```test.every\nbranch: main\n```",
		Effect: Read, Repeat: Safe,
		Run: func(_ context.Context, _ *Env, p every, _ Plan) (Result, error) {
			run(p)
			return Result{}, nil
		},
	})
}

func TestBind(t *testing.T) {
	var got every
	c, err := example(func(p every) { got = p }).Bind(map[string]any{
		"branch": "main", "force": true, "count": uint64(7), "size": float64(1 << 40), "since": "90s",
		"files": []any{"a", 1}, "rows": map[string]any{"users": 3}, "key": secret.New("hush-hush"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(t.Context(), &Env{}, Plan{}); err != nil {
		t.Fatal(err)
	}
	want := every{
		Branch: "main", Mode: "auto", Force: true, Count: 7, Size: 1 << 40, Since: 90 * time.Second,
		Files: []string{"a", "1"}, Rows: map[string]string{"users": "3"}, Key: secret.New("hush-hush"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("bound %+v, want %+v", got, want)
	}
	if shown := fmt.Sprint(c.Display()); strings.Contains(shown, "hush") || !strings.Contains(shown, secret.Mask) {
		t.Errorf("displayed %s", shown)
	}
}

func TestBindRefuses(t *testing.T) {
	a := example(func(every) {})
	for name, args := range map[string]map[string]any{
		"branch": {},
		"brnch":  {"branch": "main", "brnch": "x"},
		"mode":   {"branch": "main", "mode": "half"},
		"force":  {"branch": "main", "force": "maybe"},
		"count":  {"branch": "main", "count": "3.5"},
		"since":  {"branch": "main", "since": "a day"},
		"files":  {"branch": "main", "files": map[string]any{}},
		"rows":   {"branch": "main", "rows": []any{"x"}},
		"size":   {"branch": "main", "size": []any{1}},
		"key":    {"branch": "main", "key": []any{"x"}},
	} {
		_, err := a.Bind(args)
		var bad *ArgError
		if !errors.As(err, &bad) || bad.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := a.Bind(map[string]any{"mode": "half", "count": "x"})
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("%d mistakes reported, want all 3: %v", n, err)
	}
}

// What lint can know before values are known: names and required ones, and the types
// of what is already there.
func TestCheckArgs(t *testing.T) {
	a := example(func(every) {})
	open := func(v any) bool { s, ok := v.(string); return ok && strings.Contains(s, "${") }
	if err := a.CheckArgs(map[string]any{"branch": "${b}", "count": "${n}", "mode": "${m}"}, open); err != nil {
		t.Error(err)
	}
	for _, args := range []map[string]any{{"count": "${n}"}, {"branch": "main", "count": "many"}, {"branch": "${b}", "x": "${y}"}} {
		if a.CheckArgs(args, open) == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestValidate(t *testing.T) {
	good := Def[every]{
		Name: "test.every", Summary: "Take arguments", Doc: "```test.every\nbranch: main\n```", Effect: Read, Repeat: Safe,
		Run: func(context.Context, *Env, every, Plan) (Result, error) { return Result{}, nil },
	}
	if err := Validate([]Action{New(good)}); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*Def[every]){
		"name":          func(d *Def[every]) { d.Name = "Test Every" },
		"summary":       func(d *Def[every]) { d.Summary = "Take arguments." },
		"example fence": func(d *Def[every]) { d.Doc = "Takes arguments." },
		"effect":        func(d *Def[every]) { d.Effect = "maybe" },
		"repeat":        func(d *Def[every]) { d.Repeat = "" },
		"no Run":        func(d *Def[every]) { d.Run = nil },
		"no Plan":       func(d *Def[every]) { d.Effect = Write },
		"no Probe":      func(d *Def[every]) { d.Repeat = Once },
	} {
		d := good
		spoil(&d)
		if err := Validate([]Action{New(d)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if err := Validate([]Action{New(good), New(good)}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("defined twice: %v", err)
	}
	type untagged struct{ Branch string }
	bad := New(Def[untagged]{Name: "test.untagged", Summary: "Take", Doc: "```test.untagged\n```", Effect: Read, Repeat: Safe,
		Run: func(context.Context, *Env, untagged, Plan) (Result, error) { return Result{}, nil }})
	if err := Validate([]Action{bad}); err == nil || !strings.Contains(err.Error(), "param tag") {
		t.Errorf("untagged field: %v", err)
	}
}

func TestManual(t *testing.T) {
	got := example(func(every) {}).Manual()
	for _, want := range []string{"test.every - Take every kind", "effect  read", "branch         a branch (text, required)", "one of auto, full", "default 24h", "```test.every"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
