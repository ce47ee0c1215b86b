package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"
)

// namespace is the one there is.
const namespace = "default"

// item is as much of a Deployment or a pod as is shown here.
type item struct {
	Metadata struct {
		Name              string
		Labels            map[string]string
		CreationTimestamp time.Time
		DeletionTimestamp string
	}
	Spec   struct{ Replicas int }
	Status struct {
		UpdatedReplicas, AvailableReplicas, ReadyReplicas int

		Phase             string
		ContainerStatuses []struct{ Ready bool }
	}
}

// objects asks for all objects of a kind that the selector lets through.
func (k *kubectl) objects(ctx context.Context, kind string) (texts []json.RawMessage, items []item, err error) {
	wanted, err := k.selector()
	path := map[string]string{"deployments.apps": "/deployments", "pods": "/pods"}[kind]
	if err != nil || path == "" || k.foreign() {
		return nil, nil, err
	}
	body, err := k.ask(ctx, http.MethodGet, path)
	if err != nil {
		return nil, nil, err
	}
	var all []json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, nil, err
	}
	for _, text := range all {
		var one item
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, nil, err
		}
		fits := true
		for key, value := range wanted {
			fits = fits && one.Metadata.Labels[key] == value
		}
		if fits {
			texts, items = append(texts, text), append(items, one)
		}
	}
	return texts, items, nil
}

// selector reads "app=booking-app", and several of these with commas between them.
func (k *kubectl) selector() (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(k.flags["selector"], ",") {
		key, value, ok := strings.Cut(strings.Replace(part, "==", "=", 1), "=")
		if ok && !strings.ContainsAny(part, " !()") {
			out[key] = value
		} else if part != "" {
			return nil, fmt.Errorf("error: the kubectl of a sandbox selects by key=value only, not by %q", part)
		}
	}
	return out, nil
}

func (k *kubectl) get(ctx context.Context) error {
	kind, name, err := k.target()
	if err != nil {
		return err
	}
	if name != "" && k.foreign() {
		return k.notFound("namespaces", k.flags["namespace"])
	}
	texts, items, err := k.objects(ctx, kind)
	if err != nil {
		return err
	}
	if name != "" {
		at := 0
		for at < len(items) && items[at].Metadata.Name != name {
			at++
		}
		if at == len(items) {
			return k.notFound(kind, name)
		}
		texts, items = texts[at:at+1], items[at:at+1]
	}
	switch o := k.flags["output"]; o {
	case "json":
		return k.json(texts, name == "")
	case "name":
		for _, one := range items {
			fmt.Fprintf(k.out, "%s/%s\n", map[string]string{"pods": "pod", "deployments.apps": "deployment.apps"}[kind], one.Metadata.Name)
		}
		return nil
	case "":
		return k.table(kind, items)
	default:
		return fmt.Errorf("error: the kubectl of a sandbox knows no output format %q, only json, name and the table", o)
	}
}

// json writes objects as the real one does, down to the order of their keys.
func (k *kubectl) json(texts []json.RawMessage, list bool) error {
	var v any = object{"apiVersion": "v1", "kind": "List", "metadata": object{"resourceVersion": ""}, "items": append([]json.RawMessage{}, texts...)}
	if !list {
		v = texts[0]
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "    "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(k.out, &out)
	return err
}

func (k *kubectl) table(kind string, items []item) error {
	if len(items) == 0 {
		in := namespace
		if k.foreign() {
			in = k.flags["namespace"]
		}
		fmt.Fprintf(k.err, "No resources found in %s namespace.\n", in)
		return nil
	}
	w := tabwriter.NewWriter(k.out, 6, 4, 3, ' ', 0)
	head := "NAME\tREADY\tUP-TO-DATE\tAVAILABLE\tAGE"
	if kind == "pods" {
		head = "NAME\tREADY\tSTATUS\tRESTARTS\tAGE"
	}
	fmt.Fprintln(w, head)
	for _, one := range items {
		age := age(time.Since(one.Metadata.CreationTimestamp))
		if kind != "pods" {
			fmt.Fprintf(w, "%s\t%d/%d\t%d\t%d\t%s\n", one.Metadata.Name, one.Status.ReadyReplicas, one.Spec.Replicas, one.Status.UpdatedReplicas, one.Status.AvailableReplicas, age)
			continue
		}
		ready, status := "0/1", one.Status.Phase
		if len(one.Status.ContainerStatuses) > 0 && one.Status.ContainerStatuses[0].Ready {
			ready = "1/1"
		}
		if one.Metadata.DeletionTimestamp != "" {
			status = "Terminating"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t0\t%s\n", one.Metadata.Name, ready, status, age)
	}
	return w.Flush()
}

// age is a duration as kubectl shows it.
func age(d time.Duration) string {
	s, m, h := int(d.Seconds()), int(d.Minutes()), int(d.Hours())
	switch {
	case s < 120:
		return fmt.Sprintf("%ds", max(s, 0))
	case m < 10 && s%60 > 0:
		return fmt.Sprintf("%dm%ds", m, s%60)
	case m < 180:
		return fmt.Sprintf("%dm", m)
	case h < 8 && m%60 > 0:
		return fmt.Sprintf("%dh%dm", h, m%60)
	case h < 48:
		return fmt.Sprintf("%dh", h)
	}
	return fmt.Sprintf("%dd", h/24)
}
