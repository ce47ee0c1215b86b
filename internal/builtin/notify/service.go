package notify

import (
	"fmt"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"lifeboat/internal/secret"
)

// Deliver sends a text through a service of shoutrrr and waits until that is over.
//
// The library takes no context, reads answers of any length, and goes on in the
// background after its own timeouts. So call this in a process that does nothing else and
// that somebody ends; see [Sender.Service].
func Deliver(to secret.String, title, text string) error {
	r, err := router.New(nil)
	if err != nil {
		return cleaned(err, to)
	}
	service, err := r.Locate(to.Reveal())
	if err != nil {
		return cleaned(fmt.Errorf("its address is not right: %w", err), to)
	}
	p := types.Params{}
	if title != "" {
		p.SetTitle(title)
	}
	if err := service.Send(text, &p); err != nil {
		return cleaned(err, to)
	}
	return nil
}
