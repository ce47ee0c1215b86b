package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/sandbox/mongo"
)

// AuthDB is the database of those who sign in. It lies in a store that only mongodump and
// mongorestore read, and they run where the app does.
const AuthDB = "auth_db"

// Mongo is the directory of the document store.
func (s *Sandbox) Mongo() string { return filepath.Join(s.dir, "mongo") }

// AuthStore is the document store.
func (s *Sandbox) AuthStore() mongo.Store { return mongo.Store{Dir: s.Mongo()} }

// authCollections are those of NextAuth.
func authCollections() []string {
	return []string{"accounts", "sessions", "users", "verification_tokens"}
}

// fillAuth writes sixty people, how they sign in, and where they are signed in.
func fillAuth(store mongo.Store, seed uint64, now time.Time) error {
	r := stream(seed, "auth")
	docs := map[string][]mongo.Doc{}
	for i := range 60 {
		id := objectID(r, now)
		name := fmt.Sprintf("%s %s", pick(r, firstNames), pick(r, lastNames))
		role := "customer"
		if i < 8 {
			role = "staff"
		}
		docs["users"] = append(docs["users"], mongo.Doc{
			{Name: "_id", Value: id}, {Name: "name", Value: name}, {Name: "email", Value: fmt.Sprintf("user%d@example.com", i)},
			{Name: "emailVerified", Value: now.AddDate(0, 0, -r.between(1, 400))}, {Name: "role", Value: role},
		})
		docs["accounts"] = append(docs["accounts"], mongo.Doc{
			{Name: "_id", Value: objectID(r, now)}, {Name: "userId", Value: id}, {Name: "type", Value: "oauth"}, {Name: "provider", Value: pick(r, []string{"google", "github"})},
			{Name: "providerAccountId", Value: fmt.Sprint(100000 + r.below(900000))}, {Name: "expires_at", Value: int32(now.Unix()/60) + int32(r.below(9000))},
		})
		for range r.between(4, 9) {
			docs["sessions"] = append(docs["sessions"], mongo.Doc{
				{Name: "_id", Value: objectID(r, now)}, {Name: "sessionToken", Value: hexText(r, 32)}, {Name: "userId", Value: id},
				{Name: "expires", Value: now.AddDate(0, 0, r.between(1, 30))},
			})
		}
	}
	for range 12 {
		docs["verification_tokens"] = append(docs["verification_tokens"], mongo.Doc{
			{Name: "_id", Value: objectID(r, now)}, {Name: "identifier", Value: fmt.Sprintf("new%d@example.com", r.below(1000))},
			{Name: "token", Value: hexText(r, 32)}, {Name: "expires", Value: now.Add(time.Duration(r.between(1, 24)) * time.Hour)},
		})
	}
	for _, c := range authCollections() {
		if err := store.Insert(AuthDB, c, docs[c]...); err != nil {
			return err
		}
	}
	return nil
}

func objectID(r *random, now time.Time) (id mongo.ObjectID) {
	at := uint32(now.Add(-time.Duration(r.below(400)) * 24 * time.Hour).Unix())
	id[0], id[1], id[2], id[3] = byte(at>>24), byte(at>>16), byte(at>>8), byte(at)
	for i := 4; i < len(id); i++ {
		id[i] = byte(r.next())
	}
	return id
}

func hexText(r *random, n int) string {
	const hex = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = hex[r.below(len(hex))]
	}
	return string(b)
}

// copyAuth keeps the documents as they are now for the oracle, under a name in truth/.
func (s *Sandbox) copyAuth(name string) error {
	to := mongo.Store{Dir: s.truth(name)}
	if err := os.RemoveAll(to.Dir); err != nil {
		return err
	}
	for _, c := range authCollections() {
		docs, err := s.AuthStore().Documents(AuthDB, c)
		if err == nil {
			err = to.Insert(AuthDB, c, docs...)
		}
		if err != nil {
			return fmt.Errorf("keep %s: %w", c, err)
		}
	}
	return nil
}

const authTruth = "auth" // documents before the damage

// auth checks the documents of those who sign in, field by field. After a leak nobody may
// be signed in any more: that is judged with the leak.
func (j *judge) auth(ctx context.Context) {
	const text = "the auth data is as it was, field by field"
	want, now := mongo.Store{Dir: j.s.truth(authTruth)}, j.s.AuthStore()
	found, err := now.Collections(AuthDB)
	var wrong []string
	documents := 0
	for _, c := range authCollections() {
		if err != nil || ctx.Err() != nil {
			break
		}
		if c == "sessions" && j.t.Leak != nil {
			continue
		}
		var was, is []mongo.Doc
		if was, err = want.Documents(AuthDB, c); err != nil {
			break
		}
		if is, err = now.Documents(AuthDB, c); err != nil {
			break
		}
		documents += len(is)
		for _, d := range differences(was, is) {
			wrong = append(wrong, c+" "+d)
		}
		if gone := len(was) - len(is); gone > 0 {
			j.lost("%d %s of the auth data", gone, c)
		}
	}
	if err != nil {
		j.check(false, text, err.Error())
		return
	}
	for _, c := range found {
		if !slices.Contains(authCollections(), c) {
			wrong = append(wrong, "a collection "+c+" was not there")
		}
	}
	evidence := fmt.Sprintf("%d documents", documents)
	if len(wrong) > 0 {
		evidence = fmt.Sprintf("%d differences, such as: %s", len(wrong), wrong[0])
	}
	j.check(len(wrong) == 0, text, evidence)
}

// differences tells what is not as it was, document by document and field by field. The
// order of the documents means nothing.
func differences(was, is []mongo.Doc) (out []string) {
	id := func(d mongo.Doc) string {
		v, _ := d.Get("_id")
		return fmt.Sprintf("%x", v)
	}
	now := map[string]mongo.Doc{}
	for _, d := range is {
		if _, twice := now[id(d)]; twice {
			out = append(out, id(d)+" is there twice")
		}
		now[id(d)] = d
	}
	for _, d := range was {
		n, ok := now[id(d)]
		delete(now, id(d))
		switch {
		case !ok:
			out = append(out, id(d)+" is missing")
		case !mongo.Equal(d, n):
			out = append(out, id(d)+": "+field(d, n))
		}
	}
	for _, d := range is {
		if _, left := now[id(d)]; left {
			out = append(out, id(d)+" was not there")
		}
	}
	return out
}

// field names the first field that two documents do not share.
func field(a, b mongo.Doc) string {
	for _, f := range a {
		v, ok := b.Get(f.Name)
		if !ok || !mongo.Equal(mongo.Doc{{Name: "", Value: f.Value}}, mongo.Doc{{Name: "", Value: v}}) {
			return fmt.Sprintf("field %q is another", f.Name)
		}
	}
	return "it has other fields, or in another order"
}
