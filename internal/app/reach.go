package app

import (
	"net/http"
	"time"
)

// reachTimeout bounds one request to a forge, a health page or an alert channel: a server
// that accepts and says nothing must not hold up a recovery.
const reachTimeout = 30 * time.Second

// client is what actions speak HTTP with.
func (w *world) client() *http.Client { return &http.Client{Timeout: reachTimeout} }
