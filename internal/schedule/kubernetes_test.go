package schedule_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/schedule"
)

// kubelet expands an argument as Kubernetes does: $(NAME) is a variable, "$$" is "$".
func kubelet(t *rapid.T, s string, env map[string]string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '$' || i+1 == len(s):
			b.WriteByte(s[i])
		case s[i+1] == '$':
			b.WriteByte('$')
			i++
		case s[i+1] == '(':
			name, _, ok := strings.Cut(s[i+2:], ")")
			value, known := env[name]
			if !ok || !known {
				t.Fatalf("%q expands something", s)
			}
			b.WriteString(value)
			i += len(name) + 2
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// cronJob is what the tests read of the resource.
type cronJob struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name, Namespace string }
	Spec       struct {
		Schedule                string
		TimeZone                string `yaml:"timeZone"`
		ConcurrencyPolicy       string `yaml:"concurrencyPolicy"`
		StartingDeadlineSeconds int    `yaml:"startingDeadlineSeconds"`
		JobTemplate             struct {
			Spec struct {
				BackoffLimit             *int   `yaml:"backoffLimit"`
				CompletionMode           string `yaml:"completionMode"`
				Completions, Parallelism int
				Template                 struct {
					Spec struct {
						RestartPolicy string `yaml:"restartPolicy"`
						Containers    []struct {
							Image         string
							Command, Args []string
							Env           []struct {
								Name      string
								ValueFrom struct {
									SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
								} `yaml:"valueFrom"`
							}
							VolumeMounts []struct {
								Name        string
								MountPath   string `yaml:"mountPath"`
								SubPathExpr string `yaml:"subPathExpr"`
							} `yaml:"volumeMounts"`
						}
						Volumes []map[string]any
					}
				}
			}
		} `yaml:"jobTemplate"`
	}
}

func readJob(t interface{ Fatal(...any) }, text string) cronJob {
	var j cronJob
	if err := yaml.NewDecoder(bytes.NewReader([]byte(text))).Decode(&j); err != nil {
		t.Fatal(fmt.Sprintf("%v in\n%s", err, text))
	}
	return j
}

func TestKubernetesCarriesEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySchedule(t)
		o := schedule.ExportOptions{Namespace: "ops", Image: "registry.example.org:5000/lifeboat@sha256:00", Env: []string{"AWS_REGION"}}
		files, err := schedule.Export(schedule.Kubernetes, []schedule.Schedule{s}, o)
		if err != nil {
			t.Fatal(err)
		}
		j := readJob(t, files[0].Text)
		job := j.Spec.JobTemplate.Spec
		c := job.Template.Spec.Containers[0]
		var got []string
		for _, a := range slices.Concat(c.Command, c.Args) {
			got = append(got, kubelet(t, a, map[string]string{"JOB_COMPLETION_INDEX": "1"}))
		}
		want := append([]string{"/usr/local/bin/lifeboat"}, wanted(s, schedule.ExportOptions{Estate: "/etc/lifeboat/lifeboat.yaml", State: "/var/lib/lifeboat"})...)
		if s.Shards > 1 {
			want = append(want, "--shard", fmt.Sprintf("1/%d", s.Shards))
			if job.CompletionMode != "Indexed" || job.Completions != s.Shards || job.Parallelism != s.Shards || !strings.Contains(files[0].Text, "subPathExpr: shard-$(JOB_COMPLETION_INDEX)\n") {
				t.Fatalf("no indexed job for %d shards:\n%s", s.Shards, files[0].Text)
			}
		} else if job.CompletionMode != "" || c.VolumeMounts[1].SubPathExpr != "" {
			t.Fatal("an indexed job without shards")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		cron, err := schedule.ParseCron(s.Cron)
		if err != nil {
			t.Fatal(err)
		}
		if j.APIVersion != "batch/v1" || j.Kind != "CronJob" || j.Metadata.Name != "lifeboat-"+s.Name || j.Metadata.Namespace != "ops" ||
			j.Spec.Schedule != cron.String() || j.Spec.TimeZone != "UTC" || j.Spec.ConcurrencyPolicy != "Forbid" || j.Spec.StartingDeadlineSeconds < 30 ||
			job.BackoffLimit == nil || *job.BackoffLimit != 0 || job.Template.Spec.RestartPolicy != "Never" || c.Image != o.Image ||
			len(c.Env) != 2 || c.Env[1].Name != "AWS_REGION" || c.Env[1].ValueFrom.SecretKeyRef.Name != "lifeboat" || len(job.Template.Spec.Volumes) != 3 {
			t.Fatalf("%+v", j)
		}
	})
}
