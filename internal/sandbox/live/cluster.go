package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"lifeboat/internal/durable"
	"lifeboat/internal/sandbox"
)

// App is the name of the one Deployment.
const App = "booking-app"

// cluster keeps the Deployment and its pods.
type cluster struct {
	s    *sandbox.Sandbox
	exe  string
	wake chan struct{} // the wanted number has changed

	mu   sync.Mutex // guards what follows
	want sandbox.Cluster
	pods []*pod // oldest first, also those that are ending
	next int    // whose turn it is to serve
}

func openCluster(s *sandbox.Sandbox, exe string) (*cluster, error) {
	c := &cluster{s: s, exe: exe, wake: make(chan struct{}, 1), want: sandbox.Cluster{Replicas: sandbox.Replicas, Version: 1001, Generation: 1, Created: time.Now().UTC()}}
	text, err := os.ReadFile(s.ClusterFile())
	if errors.Is(err, fs.ErrNotExist) {
		return c, c.store(c.want)
	}
	if err == nil {
		err = json.Unmarshal(text, &c.want)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the cluster: %w", err)
	}
	return c, nil
}

func (c *cluster) store(d sandbox.Cluster) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return durable.WriteFile(c.s.ClusterFile(), append(text, '\n'), 0o600)
}

// conflict is a precondition that does not hold, worded as kubectl does.
type conflict struct{ what, expected, found string }

func (e conflict) Error() string {
	return fmt.Sprintf("Expected %s to be %s, was %s", e.what, e.expected, e.found)
}

// scale sets the wanted number, if it is what the caller believes: current and version are
// preconditions unless they are empty. It is durable before it is true.
func (c *cluster) scale(replicas int, current, version string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := strconv.Itoa(c.want.Replicas); current != "" && current != now {
		return conflict{"replicas", current, now}
	}
	if now := strconv.FormatInt(c.want.Version, 10); version != "" && version != now {
		return conflict{"resource version", version, now}
	}
	if replicas == c.want.Replicas {
		return nil
	}
	to := c.want
	to.Replicas, to.Version, to.Generation = replicas, to.Version+1, to.Generation+1
	if c.want.Replicas == 0 {
		to.Started = time.Now().UTC()
	}
	if err := c.store(to); err != nil {
		return err
	}
	c.want = to
	select {
	case c.wake <- struct{}{}:
	default: // it is awake
	}
	return nil
}
