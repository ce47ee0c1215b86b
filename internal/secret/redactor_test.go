package secret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func redactor(t testing.TB, secrets ...string) *Redactor {
	t.Helper()
	r := NewRedactor()
	for _, s := range secrets {
		if err := r.Add(New(s)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		name    string
		secrets []string
		in, out string
	}{
		{"nothing known", nil, "hunter22", "hunter22"},
		{"plain", []string{"hunter22"}, "pw=hunter22;", "pw=[secret];"},
		{"twice", []string{"hunter22"}, "hunter22hunter22 hunter2", "[secret][secret] hunter2"},
		{"overlapping secrets", []string{"abcdef", "defghi"}, "xabcdefghix", "x[secret]x"},
		{"one inside the other", []string{"abcdefgh", "cdef"}, "abcdefgh cdef abcdefg", "[secret] [secret] ab[secret]g"},
		{"overlaps itself", []string{"abab"}, "xababababx", "x[secret]x"},
		{"regular expression", []string{`a.*b+(c)[`}, `axxb a.*b+(c)[`, `axxb [secret]`},
		{"many bytes per letter", []string{"schlüssel"}, "der schlüssel", "der [secret]"},
		{"broken UTF-8", []string{"\xff\xfe\xfd\xfc"}, "a\xff\xfe\xfd\xfcb", "a[secret]b"},
		{"file with a newline", []string{"token-1234\n"}, "x token-1234 y", "x [secret] y"},
		{"lines of a key", []string{"-----BEGIN KEY-----\nAAAABBBB\nCCCCDDDD\n-----END KEY-----\n"}, "12:00 AAAABBBB\n-----BEGIN KEY-----", "12:00 [secret]\n-----BEGIN KEY-----"},
		{"other case", []string{"Pass-Word-9"}, "PASS-WORD-9 pass-word-9", "[secret] [secret]"},
		{"doubled dollar", []string{"pa$$word"}, "pa$$$$word", "[secret]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := redactor(t, tt.secrets...).Text(tt.in); got != tt.out {
				t.Errorf("got %q, want %q", got, tt.out)
			}
		})
	}
}

// Nothing of a canary may be seen, whatever a program made of it.
func TestTransformedSecrets(t *testing.T) {
	canary := `c4n'ary "tök&en" $1/\<x>?`
	r := redactor(t, canary)
	html, err := json.Marshal(map[string]string{"k": canary})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"JSON":              string(html),
		"Go":                fmt.Sprintf("%q %+q", canary, canary),
		"query":             "https://h/?a=" + url.QueryEscape(canary),
		"path":              "https://h/" + url.PathEscape(canary) + "/x",
		"user info":         url.UserPassword("u", canary).String(),
		"lower-case escape": strings.ToLower(url.QueryEscape(canary)),
		"base64":            base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64 for URLs":   base64.RawURLEncoding.EncodeToString([]byte(canary)),
		"hexadecimal":       fmt.Sprintf("%x %X", canary, canary),
		"single quotes":     `'` + strings.ReplaceAll(canary, `'`, `'\''`) + `'`,
		"backslashes":       `c4n\'ary\ \"tök\&en\"\ \$1/\\\<x\>\?`,
	} {
		got := r.Text(text)
		if !strings.Contains(got, Mask) || strings.Contains(got, "c4n") || strings.Contains(got, "ary") || strings.Contains(got, "en") && name != "query" {
			t.Errorf("%s: %q gave %q", name, text, got)
		}
	}
	// Basic authentication: the secret stands at any alignment inside the encoded text.
	for _, user := range []string{"", "u", "us", "use"} {
		text := base64.StdEncoding.EncodeToString([]byte(user + ":" + canary + "\n"))
		got := r.Text(text)
		if !strings.Contains(got, Mask) || len(got)-len(Mask) > len(user)+10 {
			t.Errorf("basic authentication %q gave %q", text, got)
		}
	}
}

func TestShortSecrets(t *testing.T) {
	r := NewRedactor()
	if err := r.Add(New("abc")); !errors.Is(err, ErrShort) || strings.Contains(err.Error(), "abc") {
		t.Errorf("error %v", err)
	}
	if err := r.Add(New("")); err != nil {
		t.Errorf("error %v", err)
	}
	if got := r.Text("abc"); got != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestWriter(t *testing.T) {
	r := redactor(t, "hunter22")
	var b strings.Builder
	w := r.Writer(&b)
	for _, step := range []struct{ in, sofar string }{
		{"pw: hun", "pw: "},
		{"ter22 hu", "pw: [secret] "},
		{"man", "pw: [secret] human"},
		{" late: canary", "pw: [secret] human late: canary"},
	} {
		if n, err := io.WriteString(w, step.in); n != len(step.in) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if b.String() != step.sofar {
			t.Errorf("after %q: %q, want %q", step.in, b.String(), step.sofar)
		}
	}
	if err := r.Add(New("canary-2")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "; canary-2 hunt")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if want := "pw: [secret] human late: canary; [secret] hunt"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// A secret that becomes known while its start is held is masked.
func TestWriterLearns(t *testing.T) {
	r := redactor(t, "abcdefgh")
	var b strings.Builder
	w := r.Writer(&b)
	_, _ = io.WriteString(w, "x abcd")
	if err := r.Add(New("bcdxyz")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "xyz")
	_ = w.Close()
	if b.String() != "x a[secret]" {
		t.Errorf("%q", b.String())
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestWriterReportsTheSink(t *testing.T) {
	for _, r := range []*Redactor{NewRedactor(), redactor(t, "hunter22")} {
		w := r.Writer(broken{})
		_, first := io.WriteString(w, "some text")
		_, second := io.WriteString(w, "more")
		if !errors.Is(first, syscall.ENOSPC) || !errors.Is(second, syscall.ENOSPC) {
			t.Errorf("errors %v, %v", first, second)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	r := redactor(t, "hunter22")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				if err := r.Add(New(fmt.Sprintf("secret-%d-%d", i, j))); err != nil {
					t.Error(err)
				}
				if got := r.Text("a hunter22 b"); got != "a [secret] b" {
					t.Errorf("%q", got)
				}
			}
		})
	}
	wg.Wait()
}

// naive masks with nothing but strings.Index.
func naive(patterns []string, s string) string {
	var spans []span
	for _, p := range patterns {
		for i := 0; i+len(p) <= len(s); i++ {
			if s[i:i+len(p)] == p {
				spans = append(spans, span{int64(i), int64(i + len(p))})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.start - b.start) })
	var b strings.Builder
	pos := int64(0)
	for i := 0; i < len(spans); {
		end := spans[i].end
		j := i + 1
		for ; j < len(spans) && spans[j].start < end; j++ {
			end = max(end, spans[j].end)
		}
		b.WriteString(s[pos:spans[i].start])
		b.WriteString(Mask)
		pos, i = end, j
	}
	b.WriteString(s[pos:])
	return b.String()
}

// FuzzChunks holds invariant S8: any chunking masks like one chunk, and both mask what a
// plain search finds.
func FuzzChunks(f *testing.F) {
	f.Add("hunter22", "abab", "x hunter22 hunter2 abababab", uint64(1))
	f.Add("aaaa", "aaaaab", "aaaaaaaaaaaaaaabaaa", uint64(2))
	f.Add("a\nb\nlonger line\n", "\x00\xff\x00\xff", "\x00\xff\x00\xff\x00 longer line", uint64(3))
	f.Add("abcdefgh", "cdefghij", "abcdefghij abcdefg cdefghi", uint64(4))
	f.Fuzz(func(t *testing.T, one, two, text string, seed uint64) {
		r := NewRedactor()
		var patterns []string
		for _, s := range []string{one, two} {
			if r.Add(New(s)) == nil && s != "" {
				patterns = append(patterns, forms(s)...)
			}
		}
		want := naive(patterns, text)
		if got := r.Text(text); got != want {
			t.Fatalf("Text gave %q, plain search %q", got, want)
		}
		rng := rand.New(rand.NewPCG(seed, 0))
		var b strings.Builder
		w := r.Writer(&b)
		for rest := text; rest != ""; {
			n := 1 + rng.IntN(min(len(rest), 5))
			if _, err := io.WriteString(w, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Fatalf("in chunks %q, want %q", b.String(), want)
		}
	})
}

func TestStringNeverPrints(t *testing.T) {
	s := New("canary-value")
	data, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": []String{s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		string(data), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s),
		fmt.Sprintf("%+v", struct{ P *String }{&s}), s.String(), fmt.Errorf("bad %v", s).Error(),
	} {
		if strings.Contains(got, "canary") || strings.Contains(got, "63616e617279") {
			t.Errorf("printed: %s", got)
		}
	}
	if s.Reveal() != "canary-value" || s.IsZero() || !New("").IsZero() {
		t.Error("the value is lost")
	}
}

// A private key in all its forms must not cost the memory of a console.
func TestMachineStaysSmall(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	key := make([]byte, 2400)
	for i := range key {
		key[i] = byte(rng.Uint32())
	}
	pem := "-----BEGIN PRIVATE KEY-----\n"
	for text := base64.StdEncoding.EncodeToString(key); text != ""; text = text[min(64, len(text)):] {
		pem += text[:min(64, len(text))] + "\n"
	}
	r := redactor(t, pem)
	if n := len(r.machine.Load().states); n > 100_000 {
		t.Errorf("%d states", n)
	}
	if got := r.Text("key: " + pem + "end"); got != "key: [secret]end" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkWriter(b *testing.B) {
	r := redactor(b, "hunter22", "AKIAIOSFODNN7EXAMPLE", strings.Repeat("k3y", 20))
	line := []byte(strings.Repeat("progress of a restore 42% ", 5) + "\n")
	w := r.Writer(io.Discard)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(line)
	}
}
