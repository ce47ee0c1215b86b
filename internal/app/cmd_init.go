package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/internal/durable"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/printable"
)

func cmdInit(env environment) *cobra.Command {
	var onlyPrint bool
	c := &cobra.Command{
		Use: "init [DIRECTORY]", Short: "Write a lifeboat.yaml by looking at a repository",
		Long: "Looks at the repository here, or in DIRECTORY, and writes a lifeboat.yaml for it, with\n" +
			"comments that say what each line means and what to decide. Nothing else is written, and a\n" +
			"lifeboat.yaml that is there stays as it is.",
		Args: atMostOneDirectory,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := env.dir
			if len(args) == 1 {
				dir = args[0]
				if !filepath.IsAbs(dir) {
					dir = filepath.Join(env.dir, dir)
				}
			}
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				return usage(hint.Wrap(errors.Join(fmt.Errorf("%q is no directory", dir), err), "name the directory of the repository"))
			}
			found, err := estate.Observe(env.ctx, dir)
			if err != nil {
				return err
			}
			text := estate.Propose(found)
			path := filepath.Join(dir, estate.FileName)
			if onlyPrint {
				_, err := env.stdout.Write(text)
				return err
			}
			err = durable.Create(path, text, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return usage(hint.New(fmt.Sprintf("%q is there already", path), "lifeboat init --print shows what it would write; compare, and take over what you want"))
			}
			if err != nil {
				return usage(hint.Wrap(err, "choose a directory that you can write"))
			}
			e, bad := estate.Load(path, text)
			if len(bad) > 0 {
				return problems(bad)
			}
			fmt.Fprintf(env.stdout, "wrote %s\n", path)
			for _, a := range e.Assets {
				fmt.Fprintf(env.stdout, "  %-16s %s\n", printable.Line(a.Name), a.Kind)
			}
			fmt.Fprint(env.stdout, "read it, decide what its comments ask, then:\n"+
				"  lifeboat backup --all     the first backup of everything\n"+
				"  lifeboat verify --all     the proof that it can come back\n"+
				"  lifeboat vault doctor     what the bucket really enforces\n"+
				"  lifeboat schedule export  the same every day, by the scheduler that you have\n")
			return nil
		},
	}
	c.Flags().BoolVar(&onlyPrint, "print", false, "print it and write nothing")
	return c
}

func atMostOneDirectory(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(hint.New(fmt.Sprintf("%d directories given", len(args)), "give one, or none for this one"))
	}
	return nil
}
