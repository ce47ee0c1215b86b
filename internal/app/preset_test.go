package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	streamasset "lifeboat/internal/asset/stream"
	"lifeboat/internal/estate"
)

// What lifeboat.yaml may say of a preset is what the preset takes: a key that only one of
// the two knows would show in the night, by a backup that is not there.
func TestPresetsOfEstateAndStream(t *testing.T) {
	values := map[string][]string{
		"context": {"prod/eu"}, "namespace": {"ops"}, "workload": {"deployment/app", "pod-0"}, "container": {"db"}, "database": {"db_1"},
		"oplog": {"true", "false"}, "host": {"db.internal", "/run/postgresql"}, "user": {"backup"}, "port": {"5432"}, "format": {"plain", "custom"},
		"config": {"my app/wrangler.toml"}, "call": {"npx", "wrangler"}, "uri_env": {"MONGODB_URI"},
	}
	var names []string
	for _, p := range estate.Presets() {
		names = append(names, p.Name)
		keys := slices.Concat(p.Required, p.Optional)
		for _, key := range streamasset.PresetOptions(p.Name) {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: lifeboat.yaml does not know %q", p.Name, key)
			}
		}
		for _, key := range keys {
			if len(values[key]) == 0 {
				t.Errorf("%s: the test has no value for %q", p.Name, key)
			}
			for _, value := range values[key] {
				given := map[string]string{key: value}
				for _, other := range p.Required {
					if given[other] == "" {
						given[other] = values[other][0]
					}
				}
				if slices.Contains([]string{"namespace", "container", "context"}, key) {
					given["workload"] = "deployment/app"
				}
				var text strings.Builder
				for k, v := range given {
					fmt.Fprintf(&text, ", %s: %q", k, v)
				}
				e, bad := estate.Load("/srv/lifeboat.yaml", []byte("assets:\n  a: {kind: stream, preset: "+p.Name+text.String()+"}\n"))
				if len(bad) > 0 {
					t.Errorf("%s with %v: %v", p.Name, given, bad)
					continue
				}
				k, err := streamasset.Preset(p.Name, e.Assets[0].Options)
				if err == nil {
					err = k.Validate()
				}
				if err != nil || len(k.Dump) == 0 || len(k.Load) == 0 {
					t.Errorf("%s with %v: %v", p.Name, given, err)
				}
			}
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, streamasset.Presets()) {
		t.Errorf("presets %q and %q", names, streamasset.Presets())
	}
}
