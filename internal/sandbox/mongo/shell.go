package mongo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
)

// evalForm is what the mongosh of a sandbox understands.
var evalForm = regexp.MustCompile(`^\s*db\.(\w+)\.(countDocuments|deleteMany)\(\{\}\)\s*;?\s*$`)

// shell counts the documents of a collection, or deletes them all: "mongosh --quiet
// auth_db --eval 'db.sessions.deleteMany({})'".
func (t *tool) shell() error {
	db := path.Base(t.dir) // also of an address
	m := evalForm.FindStringSubmatch(t.eval)
	if m == nil || t.dir == "" {
		return errors.New("the mongosh of a sandbox knows: mongosh --quiet DATABASE --eval 'db.COLLECTION.countDocuments({})', or deleteMany({})")
	}
	docs, err := t.store.Documents(db, m[1])
	if err != nil {
		return err
	}
	if m[2] == "countDocuments" {
		_, err = fmt.Fprintln(t.stdout, len(docs))
		return err
	}
	if len(docs) > 0 {
		if err := t.store.Replace(db, m[1], nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_, err = fmt.Fprintf(t.stdout, "{ acknowledged: true, deletedCount: %d }\n", len(docs))
	return err
}
