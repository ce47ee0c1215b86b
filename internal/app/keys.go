package app

import (
	"context"
	"fmt"
	"os"
	"strings"

	streamasset "lifeboat/internal/asset/stream"
	"lifeboat/internal/estate"
	"lifeboat/internal/hint"
	"lifeboat/internal/secret"
	"lifeboat/internal/vault"
)

// Variables of the environment that open backups and reach mirrors, where lifeboat.yaml
// names nothing else. They pass to the process that hosts a run.
const (
	identityVar   = "LIFEBOAT_AGE_IDENTITY"   // an identity, or the path of a file of them
	passphraseVar = "LIFEBOAT_GPG_PASSPHRASE" // the passphrase, or the path of a file
	tokenPrefix   = "LIFEBOAT_TOKEN_"         // the token of a mirror: LIFEBOAT_TOKEN_GITLAB
)

// crypt is how the estate encrypts. Keys are read when something asks for them, and masked
// from then on wherever anything is printed.
func (w *world) crypt() vault.Crypt {
	e := w.estate.Encryption
	c := vault.Crypt{Scheme: e.Method, Recipients: e.Recipients, BreakGlass: e.BreakGlass, Keeper: w.fromEnv(e.Keeper)}
	c.Identities = func(context.Context) ([]secret.String, error) {
		s, err := w.keyFrom(e.Identity, identityVar, func(v string) bool { return strings.Contains(v, "AGE-SECRET-KEY-") })
		if err != nil || s.Reveal() == "" {
			return nil, err
		}
		for line := range strings.Lines(s.Reveal()) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				w.redact.Add(secret.New(line))
			}
		}
		return []secret.String{s}, nil
	}
	if e.Method == "gpg" || w.env.get(passphraseVar) != "" || e.Passphrase != "" {
		c.Passphrase = func(context.Context) (secret.String, error) {
			s, err := w.keyFrom(e.Passphrase, passphraseVar, func(v string) bool { return !strings.HasPrefix(v, "/") })
			if err == nil {
				first, _, _ := strings.Cut(s.Reveal(), "\n")
				w.redact.Add(secret.New(strings.TrimSuffix(first, "\r")))
			}
			return s, err
		}
	}
	return c
}

// fromEnv resolves "env:NAME".
func (w *world) fromEnv(value string) string {
	if name, ok := estate.FromEnv(value); ok {
		return w.env.get(name)
	}
	return value
}

// maxKeyFile bounds a file of keys, in bytes.
const maxKeyFile = 64 << 10

// keyFrom reads a key from the file that the estate names, from a variable that it names,
// or from the usual variable, which holds the key itself or the path of a file. It is
// empty when nothing names one.
func (w *world) keyFrom(configured, variable string, itself func(string) bool) (secret.String, error) {
	value := configured
	if name, ok := estate.FromEnv(configured); ok {
		variable, value = name, ""
	}
	if value == "" {
		if value = w.env.get(variable); value == "" {
			return secret.String{}, nil
		}
		if itself(value) {
			return secret.New(value), nil
		}
	}
	info, err := os.Stat(value)
	if err != nil {
		return secret.String{}, hint.Wrapf(fmt.Errorf("read the key: %w", err), "mend encryption: in lifeboat.yaml, or set %s", variable)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return secret.String{}, fmt.Errorf("read the key: %q is no file of keys", value)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return secret.String{}, hint.Wrapf(fmt.Errorf("read the key: %q can be read by others", value), "chmod 600 %s", value)
	}
	text, err := os.ReadFile(value)
	if err != nil {
		return secret.String{}, fmt.Errorf("read the key: %w", err)
	}
	return secret.New(string(text)), nil
}

// token is the credential of a mirror, from the environment.
func (w *world) token(mirror string) secret.String {
	v := secret.New(w.env.get(tokenPrefix + strings.ToUpper(strings.ReplaceAll(mirror, "-", "_"))))
	if v.Reveal() != "" {
		w.redact.Add(v)
	}
	return v
}

// keyVars names the variables that a process which opens the vault of this estate needs.
func (w *world) keyVars() []string {
	out := []string{identityVar, passphraseVar, tokenPrefix + "*"}
	if w.estate == nil {
		return out
	}
	for _, a := range w.estate.Assets {
		if a.Kind == estate.Stream { // the programs that dump take their passwords from there
			out = append(out, streamasset.Passed()...)
		}
		if name := a.Options["uri_env"]; name != "" && a.Options["workload"] == "" {
			out = append(out, name)
		}
	}
	for _, value := range []string{w.estate.Encryption.Keeper, w.estate.Encryption.Identity, w.estate.Encryption.Passphrase} {
		if name, ok := estate.FromEnv(value); ok {
			out = append(out, name)
		}
	}
	return out
}

// keep is the retention of the estate.
func (w *world) keep() vault.Keep {
	if w.estate == nil {
		return vault.Keep{}
	}
	r := w.estate.Retention
	return vault.Keep{Within: r.Within, Hourly: r.Hourly, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly}
}
