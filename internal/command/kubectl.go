package command

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"lifeboat/internal/hint"
)

// Kubectl makes a hardened call of kubectl, as context and namespace, which may be empty:
// then the current ones of KUBECONFIG count. The person's preferences (kuberc) do not, no
// request waits for ever, and whatever a context needs to authenticate (an exec plugin of a
// cloud) finds the credentials of clouds in its environment. Only words that are commands
// of kubectl itself may begin args: everything else kubectl looks for in PATH as a plugin.
func Kubectl(context, namespace string, args ...string) Cmd {
	argv := []string{"kubectl", "--request-timeout=20s"}
	if context != "" {
		argv = append(argv, "--context="+context)
	}
	if namespace != "" {
		argv = append(argv, "--namespace="+namespace)
	}
	return Cmd{
		Argv: append(argv, args...), Inherit: Cloud(),
		Env: map[string]string{"KUBERC": "off", "KUBECTL_KUBERC": "false", "KUBECTL_EXTERNAL_DIFF": "", "LC_ALL": "C"},
	}
}

var serverReason = regexp.MustCompile(`(?m)^Error from server(?: \(([A-Za-z]+)\))?:`)

// Reason is the word by which an API server of Kubernetes says why it refused, as
// "NotFound", from how kubectl ended; empty where no server said anything.
func Reason(err error) string {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	if m := serverReason.FindStringSubmatch(exit.Stderr); m != nil {
		return m[1]
	}
	return ""
}

// Refused says that a call of kubectl certainly changed nothing: the server gave a reason
// that rules it out, or a precondition of the call did not hold.
func Refused(err error) bool {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return false
	}
	reasons := []string{"Forbidden", "Unauthorized", "NotFound", "Conflict", "Invalid", "BadRequest", "MethodNotAllowed", "TooManyRequests", "NotAcceptable"}
	// Some reasons kubectl puts into words of its own.
	words := []string{"error: Expected ", "error: no objects passed to scale ", "error: You must be logged in to the server", "The request is invalid", " is invalid: ", "Error: unknown flag: "}
	return slices.Contains(reasons, Reason(err)) || slices.ContainsFunc(words, func(w string) bool { return strings.Contains(exit.Stderr, w) })
}

// adviseKubectl adds what a person can do about well-known ends of kubectl.
func adviseKubectl(e *ExitError) error {
	for _, known := range []struct{ text, advice string }{
		{"(Forbidden)", "Your account may not do this. To stop and start it needs get on deployments and pods, and get and update on deployments/scale: ask who administers the cluster, or name another context."},
		{"(Unauthorized)", "Log in to the cluster again; \"kubectl auth whoami\" shows as whom you come."},
		{"passed to scale Unauthorized", "Log in to the cluster again; \"kubectl auth whoami\" shows as whom you come."},
		{"must be logged in to the server", "Log in to the cluster again; \"kubectl auth whoami\" shows as whom you come."},
		{"namespaces \"", "\"kubectl get namespaces\" lists those there are."},
		{"passed to scale deployments", "Check its name and the namespace: \"kubectl get deployments --all-namespaces\" lists those there are."},
		{"(NotFound)", "Check its name and the namespace: \"kubectl get deployments --all-namespaces\" lists those there are."},
		{"context was not found", "\"kubectl config get-contexts\" lists those there are."},
		{"context \"", "\"kubectl config get-contexts\" lists those there are; mend context: of the application in lifeboat.yaml, or the KUBECONFIG that is set."},
		{"localhost:8080", "kubectl has no configuration: set KUBECONFIG, or name a context of it."},
		{"cannot support interactive mode", "The login program of the context wants to ask you something, and Lifeboat never lets kubectl ask. Log in by hand first (any kubectl command does it), then try again."},
		{"getting credentials: exec: executable", "The login program of the context did not work: run any kubectl command by hand to see what it wants, log in, then try again. Where it is said not to be found, install it or add it to PATH."},
		{"getting credentials: exec: ", "The context logs in with a program that cannot be started: install it, or mend its path in the KUBECONFIG."},
		{"unknown flag: ", "This kubectl is too old, or no kubectl: \"kubectl version\" tells. Take one within a minor version of the cluster."},
		{"Unable to connect to the server", "The cluster does not answer: check the network, the VPN, and the server that \"kubectl config view --minify\" shows."},
		{"was refused - did you specify", "The cluster does not answer: check the network, the VPN, and the server that \"kubectl config view --minify\" shows."},
	} {
		if strings.Contains(e.Stderr, known.text) {
			return hint.Wrap(e, known.advice)
		}
	}
	return e
}
