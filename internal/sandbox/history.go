package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// person writes commits; zone is hours east of UTC.
type person struct {
	name, email string
	zone        int
}

// stamp is the form of a time that git takes everywhere: seconds and zone.
func (p person) stamp(at time.Time) string { return fmt.Sprintf("%d %+03d00", at.Unix(), p.zone) }

var team = []person{
	{"Mika Ito", "m.ito@company.example", 9},
	{"Klara Lind", "k.lind@company.example", 1},
	{"Selin Kaya", "s.kaya@company.example", 3},
	{"Jun Park", "j.park@company.example", 9},
	{"Thabo Nkosi", "t.nkosi@company.example", 2},
	{"Ana Ruiz", "a.ruiz@company.example", 1},
}

// Who plays a part of their own.
var (
	developer = team[0] // owns the working clone
	colleague = team[1] // force-pushes a demo
)

// commit is one commit of the simulated history, numbered by mark from 1.
type commit struct {
	mark    int
	parents []int
	by      person
	at      time.Time
	message string
	files   []string // that differ from the first parent
	tree    tree
}

type tag struct {
	name, message string // without a message it is a light tag
	mark          int
	by            person
	at            time.Time
}

// push is a move of a branch on the server, as its reflog tells it.
type push struct {
	branch   string
	old, new int
	by       person
	at       time.Time
}

// line is a branch while it is worked on.
type line struct {
	name  string
	tip   int
	files tree
	base  tree  // what it was made from
	topic topic // of a feature
	left  []string
	by    person
}

// history plays half a year of work by a small team: a main branch that is deployed,
// a develop branch for the next release, features, releases and hotfixes.
type history struct {
	r       *random
	times   []time.Time
	commits []commit
	tags    []tag
	pushes  []push
	lines   map[string]*line // branches that exist at the end
	early   int              // mark of main when the working clone was made
	minor   int
	patch   int
	queue   []topic // features nobody has begun
	said    map[string]bool
}

// tailCommits are the last ones on main, in a row and in no other branch or tag, so
// that dropping some of them really loses them.
const tailCommits = 14

// lateCommits of the tail reached the working clone by a later fetch: they are loose
// objects there.
const lateCommits = 6

func simulate(seed uint64, n int, end time.Time) *history {
	h := &history{r: stream(seed, "history"), lines: map[string]*line{}, queue: slices.Clone(topics), said: map[string]bool{}}
	h.times = workingHours(h.r, n, end)
	main := &line{name: "main", files: tree{}}
	h.lines["main"] = main
	for i, s := range scaffolds() {
		s.add(main.files, h.r)
		h.commit(main, team[i%3], s.message)
	}
	h.fork("develop", main)
	var since, hotfix int
	for h.remaining() > tailCommits+2 {
		switch left := h.remaining() - tailCommits; {
		case since > 48 && left > 6:
			h.release()
			since = 0
		case hotfix > 70 && left > 5:
			h.hotfix(left < 60)
			hotfix = 0
		default:
			h.work()
		}
		since++
		hotfix++
	}
	for h.remaining() > 0 {
		h.onMain(h.remaining())
		if h.remaining() == lateCommits {
			h.early = main.tip
		}
	}
	return h
}

func (h *history) remaining() int { return len(h.times) - len(h.commits) }

// workingHours gives n moments in order: those of the tail in the last two days, the
// others on working days over the eight months before.
func workingHours(r *random, n int, end time.Time) []time.Time {
	const days = 240
	out := make([]time.Time, n)
	for i := range tailCommits {
		out[n-1-i] = end.Add(-time.Duration(i*190+r.below(90)) * time.Minute).UTC()
	}
	end = end.AddDate(0, 0, -3)
	for i := range out[:n-tailCommits] {
		at := end.Add(-time.Duration(r.below(days*24*3600)) * time.Second).UTC()
		switch at.Weekday() {
		case time.Saturday:
			at = at.AddDate(0, 0, -1)
		case time.Sunday:
			at = at.AddDate(0, 0, -2)
		}
		at = time.Date(at.Year(), at.Month(), at.Day(), r.between(6, 16), at.Minute(), at.Second(), 0, time.UTC)
		if at.After(end) {
			at = at.AddDate(0, 0, -7)
		}
		out[i] = at
	}
	slices.SortFunc(out, time.Time.Compare)
	for i := 1; i < n; i++ {
		if !out[i].After(out[i-1]) {
			out[i] = out[i-1].Add(time.Second)
		}
	}
	return out
}

// commit takes what was changed in l.files into a commit on l.
func (h *history) commit(l *line, by person, message string, merged ...int) {
	c := commit{mark: len(h.commits) + 1, by: by, at: h.times[len(h.commits)], message: message, tree: maps.Clone(l.files)}
	old := tree{}
	if l.tip > 0 {
		c.parents = append(c.parents, l.tip)
		old = h.commits[l.tip-1].tree
	}
	c.parents = append(c.parents, merged...)
	c.files = l.files.changed(old)
	h.commits = append(h.commits, c)
	h.pushes = append(h.pushes, push{branch: l.name, old: l.tip, new: c.mark, by: by, at: c.at.Add(90 * time.Second)})
	l.tip = c.mark
}

func (h *history) fork(name string, from *line) *line {
	l := &line{name: name, tip: from.tip, files: maps.Clone(from.files), base: maps.Clone(from.files), by: pick(h.r, team)}
	h.lines[name] = l
	h.pushes = append(h.pushes, push{branch: name, new: from.tip, by: l.by, at: h.commits[from.tip-1].at.Add(time.Minute)})
	return l
}

// merge brings from into l with a merge commit. base is the newest state that both
// knew; for a line it is what the line was forked from.
func (h *history) merge(l, from *line, by person, message string) {
	l.files.merge(from.files, from.base)
	h.commit(l, by, message, from.tip)
	from.base = maps.Clone(from.files)
}

func (h *history) features() []*line {
	var out []*line
	for _, name := range slices.Sorted(maps.Keys(h.lines)) {
		if strings.HasPrefix(name, "feature/") {
			out = append(out, h.lines[name])
		}
	}
	return out
}

// work is an ordinary commit somewhere.
func (h *history) work() {
	features := h.features()
	if len(h.queue) > 0 && (len(features) == 0 || len(features) < 4 && h.r.chance(20)) {
		i := h.r.below(len(h.queue))
		t := h.queue[i]
		h.queue = slices.Delete(h.queue, i, i+1)
		l := h.fork("feature/"+t.branch, h.lines["develop"])
		l.topic, l.left = t, t.subjects
		features = append(features, l)
	}
	switch p := h.r.below(100); {
	case p < 62 && len(features) > 0:
		h.onFeature(pick(h.r, features))
	case p < 85:
		h.onDevelop()
	default:
		h.onMain(0)
	}
}

func (h *history) onFeature(l *line) {
	if len(l.left) == 0 {
		h.merge(h.lines["develop"], l, pick(h.r, team), fmt.Sprintf("Merge branch '%s' into develop", l.name))
		delete(h.lines, l.name)
		return
	}
	c := componentAt(l.topic.where)
	first := len(l.left) == len(l.topic.subjects)
	subject := fmt.Sprintf("feat(%s): %s", c.name(), l.left[0])
	if first {
		subject += fmt.Sprintf("\n\nFirst part of %s.", strings.ReplaceAll(l.topic.branch, "-", " "))
		l.files.put(c.dir+"/src/"+l.topic.branch+".ts", "import", "import { z } from \"zod\";\nimport { db } from \"@booking/db\";\n")
	}
	l.left = l.left[1:]
	name := functionName(h.r, c)
	l.files.put(c.dir+"/src/"+l.topic.branch+".ts", name, function(h.r, c, name))
	if h.r.chance(50) {
		l.files.put(c.dir+"/src/index.test.ts", l.topic.branch+name, unitTest(h.r, name))
	}
	if h.r.chance(30) {
		h.touch(l, c)
	}
	h.commit(l, l.by, subject)
}

func componentAt(dir string) component {
	i := slices.IndexFunc(components, func(c component) bool { return c.dir == dir })
	return components[max(i, 0)]
}

// once picks a subject that this component has not had yet, while there is one.
func (h *history) once(c component, kind string, list []string) string {
	message := ""
	for range 40 {
		message = fmt.Sprintf("%s(%s): %s", kind, c.name(), pick(h.r, list))
		if !h.said[message] {
			break
		}
	}
	h.said[message] = true
	return message
}

// touch changes one function of a component, or adds one, and says which file.
func (h *history) touch(l *line, c component) string {
	file := c.dir + "/src/" + pick(h.r, c.modules)
	name := functionName(h.r, c)
	if blocks := l.files[file]; len(blocks) > 1 && h.r.chance(60) {
		name = blocks[h.r.between(1, len(blocks)-1)].key
	}
	l.files.put(file, name, function(h.r, c, name))
	return file
}

func (h *history) onDevelop() {
	l, c := h.lines["develop"], pick(h.r, components)
	h.touch(l, c)
	switch h.r.below(4) {
	case 0:
		h.commit(l, pick(h.r, team), h.once(c, "chore", chores))
	case 1:
		name := functionName(h.r, c)
		l.files.put(c.dir+"/src/index.test.ts", "develop"+name, unitTest(h.r, name))
		h.commit(l, pick(h.r, team), fmt.Sprintf("test(%s): cover %s", c.name(), name))
	default:
		h.commit(l, pick(h.r, team), h.once(c, "fix", fixes))
	}
}

// onMain is a small change that goes straight to main. Of the tail, left counts down
// to 1; authors then take turns, so that every one of them has something to lose.
func (h *history) onMain(left int) {
	l, by := h.lines["main"], pick(h.r, team)
	if left > 0 {
		by = team[left%len(team)]
	}
	number := 100 + len(h.commits)
	c := pick(h.r, components)
	switch kind := h.r.below(5); {
	case kind == 0:
		dep := pick(h.r, c.deps)
		version := fmt.Sprintf("%s.%d.%d", strings.Split(versions[dep], ".")[0], h.r.between(1, 40), h.r.below(10))
		l.files.depend(c.dir, dep, version)
		h.commit(l, by, fmt.Sprintf("chore(deps): bump %s to %s (#%d)", dep, version, number))
	case kind == 1:
		app := pick(h.r, []string{"booking", "dashboard", "notifier"})
		replicas := h.r.between(2, 9)
		l.files.put("infrastructure/k8s/"+app+".yaml", "deployment", deployment(app, replicas, fmt.Sprintf("main-%d", number)))
		h.commit(l, by, fmt.Sprintf("infra(k8s): run %d replicas of %s (#%d)", replicas, app, number))
	case kind == 2:
		l.files.put("docs/on-call.md", fmt.Sprint(number), fmt.Sprintf("## Note %d\n\nWhen %s, look at %s first.\n", number, strings.Replace(pick(h.r, fixes), "do not ", "nobody should ", 1), c.dir))
		h.commit(l, by, fmt.Sprintf("docs: on-call note about %s (#%d)", c.name(), number))
	default:
		h.touch(l, c)
		h.commit(l, by, fmt.Sprintf("%s (#%d)", h.once(c, "fix", fixes), number))
	}
}

// release cuts a release branch from develop, and merges it into main and back.
func (h *history) release() {
	h.minor++
	h.patch = 0
	version := fmt.Sprintf("1.%d.0", h.minor)
	for name := range h.lines {
		if strings.HasPrefix(name, "release/") {
			delete(h.lines, name)
		}
	}
	by := pick(h.r, team)
	l := h.fork(fmt.Sprintf("release/1.%d", h.minor), h.lines["develop"])
	l.base = maps.Clone(h.commits[h.lines["main"].tip-1].tree)
	l.files.put("package.json", "version", version)
	for _, c := range components {
		l.files.put(c.dir+"/package.json", "version", version)
	}
	h.commit(l, by, "chore(release): "+version)
	l.files.put("CHANGELOG.md", version, fmt.Sprintf("## %s\n\n%s\n", version, h.notes()))
	h.commit(l, by, "docs: changelog of "+version)
	h.ship(l, by, version)
}

// notes lists what the newest commits brought.
func (h *history) notes() string {
	var out []string
	for _, c := range slices.Backward(h.commits) {
		subject, _, _ := strings.Cut(c.message, "\n")
		if kind, _, ok := strings.Cut(subject, "("); ok && (kind == "feat" || kind == "fix") {
			out = append(out, "- "+subject)
		}
		if len(out) == 12 {
			break
		}
	}
	return strings.Join(out, "\n")
}

// hotfix repairs main at once. An open one is left unmerged, as work in progress.
func (h *history) hotfix(open bool) {
	h.patch++
	version := fmt.Sprintf("1.%d.%d", h.minor, h.patch)
	l := h.fork("hotfix/"+version, h.lines["main"])
	c := pick(h.r, components)
	h.touch(l, c)
	h.commit(l, l.by, h.once(c, "fix", fixes))
	if open {
		return
	}
	l.files.put("package.json", "version", version)
	h.commit(l, l.by, "chore(release): "+version)
	h.ship(l, l.by, version)
	delete(h.lines, l.name)
}

// ship merges a line into main and into develop, and tags main.
func (h *history) ship(l *line, by person, version string) {
	main, develop := h.lines["main"], h.lines["develop"]
	base := l.base
	h.merge(main, l, by, fmt.Sprintf("Merge branch '%s'", l.name))
	at := h.commits[main.tip-1].at
	h.tags = append(h.tags,
		tag{name: "v" + version, message: "Release " + version, mark: main.tip, by: by, at: at.Add(5 * time.Minute)},
		tag{name: "deployed/" + at.Format("2006-01-02") + "-" + version, mark: main.tip})
	l.base = base
	h.merge(develop, l, by, fmt.Sprintf("Merge branch '%s' into develop", l.name))
}
