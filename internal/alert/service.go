package alert

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// services are the kinds of addresses beside http and https, as shoutrrr spells them.
// Left out on purpose: logger, which would report as delivered what only it has seen.
var services = []string{
	"bark", "discord", "generic", "googlechat", "gotify", "hangouts", "ifttt", "join", "lark", "matrix", "mattermost", "notifiarr",
	"ntfy", "opsgenie", "pagerduty", "pushbullet", "pushover", "rocketchat", "signal", "slack", "smtp", "teams", "telegram", "wecom", "zulip",
}

// Services lists the kinds of addresses that a channel can have beside http and https.
func Services() []string { return slices.Clone(services) }

// open are the services whose address can be free of any credential.
var open = []string{"http", "https", "generic", "generic+http", "generic+https", "ntfy", "smtp"}

// Service is the kind of an address: "webhook" for http and https, the name of a service,
// or "" for what is none.
func Service(address string) string {
	scheme, _, ok := strings.Cut(address, "://")
	scheme, _, _ = strings.Cut(strings.ToLower(scheme), "+")
	switch {
	case !ok:
		return ""
	case scheme == "http" || scheme == "https":
		return "webhook"
	case slices.Contains(services, scheme):
		return scheme
	}
	return ""
}

// wordy is a part of a path that somebody thought of, as "team" or "on-call-2".
var wordy = regexp.MustCompile(`^[a-z]{1,20}([-_.][a-z0-9]{1,12}){0,3}$`)

// HoldsSecret says whether an address could give away how to write to its channel: by a
// name and password, a query, or a part of the path that nobody would think of. When in
// doubt it does.
func HoldsSecret(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || !slices.Contains(open, strings.ToLower(u.Scheme)) {
		return true
	}
	for part := range strings.SplitSeq(strings.Trim(u.Path, "/"), "/") {
		if part != "" && !wordy.MatchString(part) {
			return true
		}
	}
	return false
}
