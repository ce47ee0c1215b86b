package schedule

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/hint"
)

const kubernetesHead = `# Written by "lifeboat schedule export --format kubernetes".
# It expects in the same namespace: a ConfigMap "lifeboat" with the key %s, a
# PersistentVolumeClaim "lifeboat-state"%s%s.
# Kubernetes has no jitter.%s
`

var (
	dnsLabel    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsName     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	variable    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	imageName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
	configMapAs = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
)

func (o ExportOptions) checkKubernetes() error {
	switch {
	case o.Namespace == "":
		return hint.New("there is no namespace", "say with --namespace in which namespace of the cluster the jobs run")
	case !dnsLabel.MatchString(o.Namespace):
		return fmt.Errorf("%q is no name of a namespace", o.Namespace)
	case o.Image == "":
		return hint.New("there is no image", "name with --image one that has lifeboat, git and the programs that the runbooks call")
	case !imageName.MatchString(o.Image):
		return fmt.Errorf("%q is no name of an image", o.Image)
	case !dnsName.MatchString(o.Secret):
		return fmt.Errorf("%q is no name of a Secret", o.Secret)
	case !configMapAs.MatchString(path.Base(o.Estate)):
		return fmt.Errorf("%q cannot be a key of a ConfigMap", path.Base(o.Estate))
	case path.Dir(o.Estate) == "/" || strings.Contains(o.Estate, ":") || strings.Contains(o.State, ":"):
		return errors.New("lifeboat.yaml and the state need directories of their own, without \":\"")
	}
	for _, name := range o.Env {
		if !variable.MatchString(name) {
			return fmt.Errorf("%q is no name of a variable", name)
		}
	}
	return nil
}

// exportKubernetes writes a CronJob for each schedule.
func exportKubernetes(schedules []Schedule, o ExportOptions) ([]File, error) {
	var files []File
	for _, s := range schedules {
		text, err := s.cronJob(o)
		if err != nil {
			return nil, err
		}
		files = append(files, File{"lifeboat-" + s.Name + ".yaml", text})
	}
	return files, nil
}

// cronJob writes the resource. Text from outside enters through [yamlText] only.
func (s Schedule) cronJob(o ExportOptions) (string, error) {
	c, err := ParseCron(s.Cron)
	if err != nil {
		return "", err
	}
	k, err := s.Ticks()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	s.kubernetesHead(&b, o)
	fmt.Fprintf(&b, `apiVersion: batch/v1
kind: CronJob
metadata:
  name: %s
  namespace: %s
  labels: {app.kubernetes.io/name: lifeboat}
spec:
  schedule: %s
  timeZone: %s
  concurrencyPolicy: Forbid
  # So long after its tick a missed run is still made up for, once.
  startingDeadlineSeconds: %d
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    metadata:
      labels: {app.kubernetes.io/name: lifeboat}
    spec:
      # Lifeboat repeats by itself what may be repeated.
      backoffLimit: 0
`, yamlText("lifeboat-"+s.Name), yamlText(o.Namespace), yamlText(c.String()), yamlText(s.zoneName()), deadline(k.period()))
	shard, state := "", ""
	if s.Shards > 1 {
		shard = "$(JOB_COMPLETION_INDEX)/" + strconv.Itoa(s.Shards)
		state = "\n                  # Each shard has a state of its own, the same every time.\n" +
			"                  subPathExpr: shard-$(JOB_COMPLETION_INDEX)"
		fmt.Fprintf(&b, "      completionMode: Indexed\n      completions: %d\n      parallelism: %d\n", s.Shards, s.Shards)
	}
	fmt.Fprintf(&b, `      template:
        metadata:
          labels: {app.kubernetes.io/name: lifeboat}
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false   # true, with a serviceAccountName, where a runbook calls kubectl
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            runAsGroup: 65532
            fsGroup: 65532
            seccompProfile: {type: RuntimeDefault}
          containers:
            - name: lifeboat
              image: %s
              command:
                - %s
              args:
`, yamlText(o.Image), yamlText(kubernetesWord(o.Program)))
	for _, a := range s.args(o) {
		fmt.Fprintf(&b, "                - %s\n", yamlText(kubernetesWord(a)))
	}
	if shard != "" {
		fmt.Fprintf(&b, "                - \"--shard\"\n                - %s\n", yamlText(shard))
	}
	b.WriteString("              env:\n                - {name: HOME, value: /tmp}\n")
	for _, name := range o.Env {
		fmt.Fprintf(&b, "                - name: %s\n                  valueFrom: {secretKeyRef: {name: %s, key: %s}}\n", yamlText(name), yamlText(o.Secret), yamlText(name))
	}
	s.kubernetesRest(&b, o, state)
	return b.String(), nil
}

func (s Schedule) kubernetesHead(b *strings.Builder, o ExportOptions) {
	many, secret, jitter := "", "", ""
	if s.Shards > 1 {
		many = " that many nodes may mount (ReadWriteMany)"
	}
	if len(o.Env) > 0 {
		secret = ", and a Secret with the credentials"
	}
	if s.Jitter > 0 {
		jitter = " Give schedules that meet minutes of their own."
	}
	fmt.Fprintf(b, kubernetesHead, path.Base(o.Estate), many, secret, jitter)
}

// kubernetesRest writes what follows the environment: limits and volumes.
func (s Schedule) kubernetesRest(b *strings.Builder, o ExportOptions, state string) {
	fmt.Fprintf(b, `              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {drop: [ALL]}
              resources:
                requests: {cpu: 250m, memory: 256Mi}
                limits: {memory: 1Gi}
              volumeMounts:
                - name: estate
                  mountPath: %s
                  readOnly: true
                - name: state   # the journal, the signing key, and what the next increment starts from
                  mountPath: %s%s
                - name: tmp
                  mountPath: /tmp
                # - name: keys   # age identities, only where backups are verified by applying them
                #   mountPath: /etc/lifeboat-keys
                #   readOnly: true
          volumes:
            - name: estate
              configMap: {name: lifeboat}
            - name: state
              persistentVolumeClaim: {claimName: lifeboat-state}
            - name: tmp   # restores are proven here: the size of the largest asset, twice
              emptyDir: {}
            # - name: keys
            #   secret: {secretName: lifeboat-keys, defaultMode: 0400}
`, yamlText(path.Dir(o.Estate)), yamlText(o.State), state)
}

// deadline is how late a run may still start: half of the time until the next, at least a
// minute, at most half a day. Kubernetes gives up a schedule that missed a hundred ticks
// within it, which so never happens.
func deadline(period time.Duration) int {
	return int(min(max(period/2, time.Minute), 12*time.Hour) / time.Second)
}

// kubernetesWord keeps the kubelet from expanding $(NAME) in an argument: "$$" is "$".
func kubernetesWord(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// yamlText quotes a text for YAML. The escapes of Go are a subset of those of YAML's
// double quotes.
func yamlText(s string) string { return strconv.QuoteToASCII(s) }
