package live

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"lifeboat/internal/sandbox"
)

// alerts is a channel that keeps whatever it is told, and fails where it was told to.
type alerts struct{ s *sandbox.Sandbox }

func (a alerts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the alert is too long", http.StatusRequestEntityTooLarge)
		return
	}
	status, how := http.StatusOK, a.s.AlertsFail()
	switch {
	case how == sandbox.AlertsDrop || how == sandbox.AlertsHang:
		status = 0
	case how != "":
		if status, err = strconv.Atoi(how); err != nil || status < 300 || status > 599 {
			status = http.StatusInternalServerError
		}
	}
	alert := sandbox.Alert{At: time.Now().UTC(), Path: r.URL.RequestURI(), ContentType: r.Header.Get("Content-Type"), Body: string(body), Status: status}
	if r.Method != http.MethodGet {
		if err := a.s.KeepAlert(alert); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	switch how {
	case sandbox.AlertsDrop:
		panic(http.ErrAbortHandler) // the one way to end a connection without an answer
	case sandbox.AlertsHang:
		<-r.Context().Done()
		return
	}
	w.WriteHeader(status)
	fmt.Fprintln(w, http.StatusText(status))
}
