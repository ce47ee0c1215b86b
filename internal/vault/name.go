package vault

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Asset is one protected thing, as the vault must know it.
type Asset struct {
	Name   string // for people: "monorepo"
	Kind   string // "git", "sqlite"
	Source string // URL or path, as its Kind understands it; may hold credentials
	Secret bool   // is never stored without encryption
}

// AssetID names an asset in the bucket: a slug of its name and six hexadecimal digits of
// the SHA-256 of its source, from which credentials are removed first, so that a new
// token is not a new asset.
func AssetID(a Asset) string {
	sum := sha256.Sum256([]byte(stripCredentials(a.Source)))
	return slug(a.Name) + "-" + hex.EncodeToString(sum[:3])
}

func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 40 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "asset"
}

var secretParam = regexp.MustCompile(`(?i)(pass|token|secret|key|sig|credential|auth)`)

// stripCredentials removes the user part of a URL and the values of query parameters
// whose names say that they are secret. It works on text, because a URL with a badly
// escaped password must not slip through a parser's error.
func stripCredentials(source string) string {
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok {
		return source
	}
	rest, fragment, hasFragment := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, path, hasPath := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	} else if host, port, ok := strings.Cut(authority, ":"); ok && host != "" && strings.Trim(port, "0123456789") != "" {
		// No port: a password with an unescaped slash.
		if i := strings.LastIndexByte(path, '@'); i >= 0 {
			authority, path, hasPath = strings.Cut(path[i+1:], "/")
		}
	}
	out := scheme + "://" + authority
	if hasPath {
		out += "/" + path
	}
	if hasQuery {
		var kept []string
		for p := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(p, "=")
			if secretParam.MatchString(name) {
				continue
			}
			if strings.Contains(value, "://") && strings.Contains(value, "@") { // a URL in a URL: endpoint=
				p = name + "=" + stripCredentials(value)
			}
			kept = append(kept, p)
		}
		if len(kept) > 0 {
			out += "?" + strings.Join(kept, "&")
		}
	}
	if hasFragment {
		out += "#" + fragment
	}
	return out
}

const stampLayout = "20060102T150405.000Z"

// stamp is t in UTC to the millisecond; the order of stamps is the order of time.
func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

var (
	assetForm  = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}-[0-9a-f]{6}$`)
	pointForm  = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9A-HJKMNP-TV-Z]{26}$`)
	objectForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	kindForm   = regexp.MustCompile(`^[a-z][a-z0-9]{0,15}$`)
	hashForm   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// pointTime reads the time in a point's id.
func pointTime(id string) (time.Time, error) {
	if !pointForm.MatchString(id) {
		return time.Time{}, fmt.Errorf("%q is not the id of a point", id)
	}
	t, err := time.Parse(stampLayout, id[:len(stampLayout)])
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not the id of a point: %w", id, err)
	}
	return t, nil
}

const (
	readmeKey    = "v1/README-RESTORE.md"
	assetsPrefix = "v1/a/"
)

func pointsPrefix(asset string) string { return assetsPrefix + asset + "/p/" }
func dataPrefix(asset string) string   { return assetsPrefix + asset + "/d/" }

func receiptsPrefix(asset, point string) string { return assetsPrefix + asset + "/v/" + point + "/" }

// pointKey is the manifest's key without its ending. id has the form of a point's id.
func pointKey(asset, id string) string {
	return pointsPrefix(asset) + id[:4] + "/" + id[4:6] + "/" + id[6:8] + "/" + id
}

func manifestKey(asset, id string) string { return pointKey(asset, id) + ".json" }
func scriptKey(asset, id string) string   { return pointKey(asset, id) + ".restore.sh" }
