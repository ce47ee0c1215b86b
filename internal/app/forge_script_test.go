package app

import (
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"lifeboat/internal/sandbox/forge"
)

// forge works on the forge of a sandbox as a person in another window:
//
//	[!] forge DIR protected BRANCH         compares with the state on the disk
//	forge DIR fault KIND [METHOD [PATH [SECONDS]]]
//	forge DIR level LEVEL                  what the token of the sandbox may do
//	forge DIR forget NAME                  a user, team or app is gone
//	forge DIR edit                         somebody changes the protection of main
func forgeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg && args[1] != "protected" {
		ts.Fatalf("usage: [!] forge DIR protected BRANCH; forge DIR fault|level|forget|edit ...")
	}
	dir := opened(ts, args).Forge()
	f, err := forge.New(dir)
	ts.Check(err)
	edit := func(do func(s *forge.State)) { ts.Check(f.Change(do)) }
	switch rest := args[2:]; args[1] {
	case "protected":
		s, err := forge.Read(dir)
		ts.Check(err)
		if got := s.Projects[forge.Name].GitHub[rest[0]] != nil; got == neg {
			ts.Fatalf("%s is protected: %v", rest[0], got)
		}
	case "fault":
		ft := forge.Fault{Kind: rest[0]}
		if len(rest) > 1 {
			ft.Method = rest[1]
		}
		if len(rest) > 2 {
			ft.Path = rest[2]
		}
		if len(rest) > 3 {
			ft.Seconds, err = strconv.Atoi(rest[3])
			ts.Check(err)
		}
		ts.Check(f.Fault(ft))
	case "level":
		edit(func(s *forge.State) { s.Tokens[forge.Admin] = rest[0] })
	case "forget":
		edit(func(s *forge.State) {
			delete(s.Users, rest[0])
			delete(s.Groups, rest[0])
			delete(s.Apps, rest[0])
		})
	case "edit":
		edit(func(s *forge.State) { s.Projects[forge.Name].GitHub["main"].Admins = false })
	default:
		ts.Fatalf("forge %q?", args[1])
	}
}
