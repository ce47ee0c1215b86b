package secret

// machine finds many patterns in one pass over a text (Aho and Corasick, 1975). It is
// built once and then only read. Most states have one way on, so the ways are lists and a
// private key in all its forms takes two megabytes, not fifty.
type machine struct {
	root   [256]int32 // ways on from state 0, 0 for none
	states []state
}

type state struct {
	child   int32 // first of the states that go on from here, 0 for none
	sibling int32 // next state with the same parent
	fail    int32 // the state of the longest other pattern start that ends here
	depth   int32 // bytes of the pattern start that this state is
	match   int32 // bytes of the longest pattern that ends here, 0 for none
	char    byte  // that leads here from the parent
}

func build(patterns map[string]bool) *machine {
	m := &machine{states: make([]state, 1)}
	for p := range patterns {
		at := int32(0)
		for i := range len(p) {
			to := m.edge(at, p[i])
			if to == 0 {
				to = int32(len(m.states))
				m.states = append(m.states, state{char: p[i], depth: int32(i + 1), sibling: m.states[at].child})
				m.states[at].child = to
				if at == 0 {
					m.root[p[i]] = to
				}
			}
			at = to
		}
		m.states[at].match = int32(len(p))
	}
	m.link()
	return m
}

// link sets the fail states, by growing depth: each needs those of its ancestors.
func (m *machine) link() {
	queue := []int32{0}
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for s := m.states[parent].child; s != 0; s = m.states[s].sibling {
			if parent != 0 {
				m.states[s].fail = m.step(m.states[parent].fail, m.states[s].char)
			}
			m.states[s].match = max(m.states[s].match, m.states[m.states[s].fail].match)
			queue = append(queue, s)
		}
	}
}

// edge is the way on from a state by a byte, 0 for none.
func (m *machine) edge(at int32, c byte) int32 {
	if at == 0 {
		return m.root[c]
	}
	for s := m.states[at].child; s != 0; s = m.states[s].sibling {
		if m.states[s].char == c {
			return s
		}
	}
	return 0
}

// step is the state after one more byte.
func (m *machine) step(at int32, c byte) int32 {
	for at != 0 {
		if to := m.edge(at, c); to != 0 {
			return to
		}
		at = m.states[at].fail
	}
	return m.root[c]
}
