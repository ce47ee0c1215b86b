package command

import (
	"strings"
	"testing"
)

func TestEnvironmentIsAnAllowList(t *testing.T) {
	hostile := []string{
		"GIT_DIR=/evil", "GIT_SSH_COMMAND=evil", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.pager",
		"LD_PRELOAD=/evil.so", "BASH_ENV=/evil", "ENV=/evil", "IFS=x", "PAGER=evil", "EDITOR=evil",
		"KUBECONFIG=/prod", "AWS_PROFILE=prod", "AWS_SECRET_ACCESS_KEY=canary", "BASH_FUNC_ls%%=() { evil; }",
		"TERM=../../x", "SSH_ASKPASS=evil", "PYTHONPATH=/evil", "LIFEBOAT_TOKEN=canary", "=", "novalue", "HOME=",
	}
	for _, tt := range []struct {
		name   string
		caller []string
		cmd    Cmd
		want   string
	}{
		{"nothing", nil, Cmd{}, "PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=dumb"},
		{"hostile", hostile, Cmd{}, "PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=dumb"},
		{
			"useful", []string{"PATH=/a::.:rel:/b:/a", "HOME=/h", "USER=u", "LANG=C", "LC_TIME=C", "TZ=UTC", "SSH_AUTH_SOCK=/s", "https_proxy=p"},
			Cmd{}, "HOME=/h LANG=C LC_TIME=C PATH=/a:/b SSH_ASKPASS_REQUIRE=never SSH_AUTH_SOCK=/s TERM=dumb TZ=UTC USER=u https_proxy=p",
		},
		{"only relative directories", []string{"PATH=.:bin"}, Cmd{}, "PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=dumb"},
		{
			"asked for", hostile, Cmd{Inherit: Cloud()},
			"AWS_PROFILE=prod AWS_SECRET_ACCESS_KEY=canary KUBECONFIG=/prod PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=dumb",
		},
		{
			"own values win", []string{"HOME=/h"}, Cmd{Env: map[string]string{"HOME": "/mine", "GIT_DIR": "/d", "TERM": "xterm"}},
			"GIT_DIR=/d HOME=/mine PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=xterm",
		},
		{"terminal", []string{"TERM=xterm"}, Cmd{Terminal: true}, "PATH=" + defaultPath + " SSH_ASKPASS_REQUIRE=never TERM=xterm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := environment(tt.caller, tt.cmd)
			if err != nil || strings.Join(got, " ") != tt.want {
				t.Errorf("got  %s, %v\nwant %s", strings.Join(got, " "), err, tt.want)
			}
		})
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	for _, c := range []Cmd{
		{Inherit: []string{"GIT_DIR"}}, {Inherit: []string{"*"}}, {Inherit: []string{"L*"}}, {Inherit: []string{"BASH_ENV"}},
		{Env: map[string]string{"A=B": "c"}}, {Env: map[string]string{"": "c"}}, {Env: map[string]string{"A": "b\x00c"}},
	} {
		if env, err := environment(nil, c); err == nil {
			t.Errorf("%+v gave %q, want an error", c, env)
		}
	}
}

// What a child sees is what was built, through the real exec.
func TestChildSeesTheAllowList(t *testing.T) {
	t.Setenv("GIT_DIR", "/evil")
	t.Setenv("LD_PRELOAD", "")
	t.Setenv("BASH_ENV", "/evil")
	t.Setenv("HOME", "")
	out, err := Output(t.Context(), Cmd{Argv: []string{"env"}, Env: map[string]string{"value": "; rm -rf / $(x) `y` *\n"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"GIT_DIR", "BASH_ENV", "HOME="} {
		if strings.Contains(string(out), bad) {
			t.Errorf("the child sees %s:\n%s", bad, out)
		}
	}
	if !strings.Contains(string(out), "value=; rm -rf / $(x) `y` *\n") {
		t.Errorf("a value did not arrive as it is:\n%s", out)
	}
}
