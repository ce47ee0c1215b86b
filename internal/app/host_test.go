package app

import (
	"testing"

	"lifeboat/internal/command"
	"lifeboat/internal/estate"
)

// The console runs a runbook in a process of its own, which must reach whom and what the
// estate names by variables just as the console would: no recovery may find there that its
// channel has no address or its forge no token.
func TestHostHasWhatTheEstateNames(t *testing.T) {
	w := &world{env: environment{get: func(name string) string { return "value of " + name }}, estate: &estate.Estate{
		Alerts: []estate.Alert{{Name: "team", URL: "env:TEAM_ALERTS"}, {Name: "program", Command: []string{"mail"}}, {Name: "file", URL: "file:/x"}},
		Assets: []estate.Asset{{Name: "repo", Kind: estate.Git, Forge: estate.Forge{Service: "bitbucket", Token: "env:GIT_TOKEN"}}},
	}}
	groups, named := w.hostVars()
	for _, name := range []string{"TEAM_ALERTS", "GIT_TOKEN", "BITBUCKET_TOKEN", "KUBECONFIG", "SSL_CERT_FILE"} {
		if named[name] != "value of "+name {
			t.Errorf("the process of a run does not get %s", name)
		}
	}
	if _, err := command.Run(t.Context(), command.Cmd{Argv: []string{"true"}, Inherit: groups, Env: named}); err != nil {
		t.Error(err)
	}
}
