package app

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"lifeboat/internal/sandbox"
	"lifeboat/internal/sandbox/live"
)

// hiddenSandbox are the programs that a sandbox consists of while it is alive. They know
// nothing of runs and have no state but what lies in the sandbox.
func hiddenSandbox(env environment) []*cobra.Command {
	return []*cobra.Command{cmdSandboxLive(env), cmdSandboxApp(env), cmdSandboxKubectl(env), cmdSandboxMongo(env)}
}

func cmdSandboxLive(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "sandbox-live DIRECTORY", Short: "Keep a sandbox alive while somebody is in it", Hidden: true,
		Args: exactly(1, "the directory of a sandbox"),
		RunE: func(_ *cobra.Command, args []string) error {
			sb, err := sandbox.Open(args[0])
			if err != nil {
				return usage(err)
			}
			return live.Serve(env.ctx, sb, env.exe)
		},
	}
}

// cmdSandboxApp is one replica of the app of a sandbox. It ends when its standard input
// does, also when the process that started it was killed.
func cmdSandboxApp(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "sandbox-app DIRECTORY NAME", Short: "Be a replica of the booking app of a sandbox", Hidden: true,
		Args: exactly(2, "the directory of a sandbox, and the name of the replica"),
		RunE: func(_ *cobra.Command, args []string) error {
			sb, err := sandbox.Open(args[0])
			if err != nil {
				return usage(err)
			}
			l, err := sb.Listen(args[1] + ".sock")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(env.ctx)
			defer cancel()
			go func() { // ends with the process: standard input cannot be interrupted
				io.Copy(io.Discard, env.stdin)
				cancel()
			}()
			return sb.Book(ctx, l, args[1])
		},
	}
}

// cmdSandboxKubectl is the kubectl of a sandbox.
func cmdSandboxKubectl(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "sandbox-kubectl DIRECTORY [ARGUMENT ...]", Short: "Be the kubectl of a sandbox", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("no directory of a sandbox is given"))
			}
			sb, err := sandbox.Open(args[0])
			if err != nil {
				return usage(err)
			}
			visit, err := sb.Enter(env.ctx, env.exe) // somebody may call it by hand
			if err != nil {
				return err
			}
			defer visit.Leave()
			// What a program in a pod writes may be no text: it goes out as it is.
			if n := live.Kubectl(env.ctx, sb, args[1:], env.stdin, env.screen, env.stderr); n != 0 {
				return silentError{ended{code: n}}
			}
			return nil
		},
	}
}

// cmdSandboxMongo is mongodump, mongorestore or mongosh of a sandbox.
func cmdSandboxMongo(env environment) *cobra.Command {
	return &cobra.Command{
		Use: "sandbox-mongo DIRECTORY PROGRAM [ARGUMENT ...]", Short: "Be a program of the document store of a sandbox", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("no directory of a sandbox is given"))
			}
			sb, err := sandbox.Open(args[0])
			if err != nil {
				return usage(err)
			}
			if n := sb.AuthStore().Tool(args[1:], env.stdin, env.screen, env.stderr, env.now); n != 0 {
				return silentError{ended{code: n}}
			}
			return nil
		},
	}
}
