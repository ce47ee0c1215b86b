package console

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"
)

// vaultEvery is how often the bucket is asked again while the vault is on the screen.
const vaultEvery = time.Minute

type (
	vaultMsg struct {
		ask  loadVault
		view Vault
		err  error
	}
	mirrorsMsg   struct{ mirrors []Mirror }
	vaultTickMsg struct{ answer int } // after the answer of that number
	pointMsg     struct {
		asset string
		point Point
		err   error
	}
)

// vaultCmd performs what concerns copies.
func vaultCmd(ctx context.Context, b Backend, i Intent) tea.Cmd {
	switch i := i.(type) {
	case loadVault:
		return func() tea.Msg {
			view, err := b.Vault(ctx, i.fresh)
			return vaultMsg{i, view, err}
		}
	case askMirrors:
		return func() tea.Msg { return mirrorsMsg{b.Mirrors(ctx)} }
	case showPoint:
		return func() tea.Msg {
			p, err := b.Point(ctx, i.asset, i.point)
			return pointMsg{i.asset, p, err}
		}
	case provePoint:
		return func() tea.Msg {
			id, err := b.Prove(ctx, i.asset, i.point, i.level)
			if err != nil {
				return openedMsg{doing: "begin the verification", err: err}
			}
			return opened(ctx, b, id, "begin the verification")
		}
	case restorePoint:
		return func() tea.Msg {
			id, err := b.RestoreTo(ctx, i.asset, i.point, i.dir)
			if err != nil {
				return openedMsg{doing: "begin the restore", err: err}
			}
			return opened(ctx, b, id, "begin the restore")
		}
	}
	return nil
}

// gotVault takes what was found. After the first answer, which is what this machine knows,
// the bucket is asked.
func (m *Model) gotVault(msg vaultMsg) tea.Cmd {
	st := &m.vault
	st.known, st.err, st.view = true, msg.err, msg.view
	if msg.ask.fresh {
		st.asking = false
		st.answers++
		return m.after(vaultEvery, vaultTickMsg{st.answers})
	}
	if msg.err != nil || st.asking {
		return nil
	}
	return m.do(loadVault{fresh: true})
}

// vaultTick asks the bucket again, as long as somebody looks.
func (m *Model) vaultTick(msg vaultTickMsg) tea.Cmd {
	for _, s := range m.stack {
		if _, ok := s.(*vaultScreen); ok && msg.answer == m.vault.answers && m.vault.err == nil {
			return m.do(loadVault{fresh: true})
		}
	}
	return nil
}

func (m *Model) gotPoint(msg pointMsg) tea.Cmd {
	if msg.err != nil {
		return m.do(push{problem("This copy cannot be shown", msg.err)})
	}
	p := &pointScreen{asset: msg.asset, point: msg.point}
	for _, s := range m.vault.view.Shelves {
		if s.ID == msg.asset {
			p.shelf = s
		}
	}
	if _, ok := m.top().(*pointScreen); ok {
		return m.do(replace{p})
	}
	if _, ok := m.top().(*vaultScreen); !ok {
		return nil // somebody went elsewhere meanwhile
	}
	return m.do(push{p})
}
