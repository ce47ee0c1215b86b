package engine

import (
	"fmt"
	"reflect"

	"lifeboat/internal/run"
	"lifeboat/internal/secret"
)

// names are the strings of events by which one finds another: the ids of steps and
// debts, digests, names of files. They come from the runbook and from Lifeboat, never
// from a secret. Masked, because somebody chose "main" for a password, they would
// point nowhere, and the run could neither go on nor be read again.
var names = map[reflect.Type]map[string]bool{
	reflect.TypeFor[run.Started]():  {"Book": true, "Digest": true, "Section": true, "Estate": true, "Asset": true, "Version": true, "Session": true},
	reflect.TypeFor[run.Resumed]():  {"Session": true},
	reflect.TypeFor[run.Driver]():   {"By": true, "Session": true, "Host": true}, // a handover names the driver of before
	reflect.TypeFor[run.Outline]():  {"ID": true, "Action": true, "Effect": true},
	reflect.TypeFor[run.Debt]():     {"ID": true, "Close": true},
	reflect.TypeFor[run.Gate]():     {"Digest": true},
	reflect.TypeFor[run.Option]():   {"Key": true},
	reflect.TypeFor[run.Answer]():   {"Digest": true, "Target": true, "How": true, "Session": true},
	reflect.TypeFor[run.Plan]():     {"Effect": true, "Closes": true},
	reflect.TypeFor[run.Began]():    {"Action": true, "Digest": true, "Log": true},
	reflect.TypeFor[run.Finished](): {"Save": true, "Scope": true},
	reflect.TypeFor[run.Verdict]():  {"Save": true, "Scope": true},
	reflect.TypeFor[run.Log]():      {"Name": true, "SHA256": true},
	reflect.TypeFor[run.Reason]():   {"Else": true},
	reflect.TypeFor[run.Failure]():  {"Blamed": true},
	reflect.TypeFor[run.Ended]():    {"Anew": true},

	reflect.TypeFor[run.DrillSetup]():   {"Scenario": true, "Tried": true, "Team": true},
	reflect.TypeFor[run.Worth]():        {"Criterion": true},
	reflect.TypeFor[run.Inject]():       {"Name": true, "Step": true},
	reflect.TypeFor[run.Arrival]():      {"Inject": true},
	reflect.TypeFor[run.InjectAnswer](): {"Inject": true},
	reflect.TypeFor[run.Hint]():         {"Step": true},
	reflect.TypeFor[run.Score]():        {"Scenario": true},
	reflect.TypeFor[run.Criterion]():    {"Criterion": true},
}

// masked copies the body of an event with every secret in it masked: in all its text
// but [names], so that a new field cannot be forgotten.
func masked(r *secret.Redactor, body any) any {
	return mask(r, reflect.ValueOf(body)).Interface()
}

func mask(r *secret.Redactor, v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		if v.Type() != reflect.TypeFor[string]() {
			return v // one of a few words of package run: a verb, a mode, an outcome
		}
		return reflect.ValueOf(r.Text(v.String()))
	case reflect.Int64, reflect.Int, reflect.Float64:
		return v
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(mask(r, v.Elem()))
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(mask(r, v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), mask(r, it.Value()))
		}
		return out
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		inner := v.Elem()
		if text := fmt.Sprint(inner.Interface()); inner.CanInt() || inner.CanFloat() {
			if safe := r.Text(text); safe != text { // a number that is a secret
				return reflect.ValueOf(safe)
			}
		}
		return mask(r, inner)
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !names[v.Type()][f.Name] {
				out.Field(i).Set(mask(r, v.Field(i)))
			}
		}
		return out
	}
	return v
}
