package vault

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeKMS speaks the protocol of Amazon's KMS as far as Encrypt and Decrypt go, with a real
// AES-GCM for each key. A blob names its key, as the real one's does, so that a Decrypt
// need not.
type fakeKMS struct {
	*httptest.Server
	mu      sync.Mutex
	keys    map[string]cipher.AEAD
	aliases map[string]string // to the id of a key
	plain   [][]byte          // everything that was wrapped
	calls   []kmsCall
	fault   func(c kmsCall) string // the exception that a call meets, "hang up", or ""
}

// kmsCall is one request. Account and region are those of its signature.
type kmsCall struct{ action, key, account, region string }

const (
	kmsOne   = "11111111-2222-3333-4444-555555555555"
	kmsTwo   = "22222222-2222-3333-4444-555555555555"
	kmsCount = 3 // attempts of the SDK at one request
)

func newFakeKMS(t *testing.T) *fakeKMS {
	t.Helper()
	a := &fakeKMS{keys: map[string]cipher.AEAD{}, aliases: map[string]string{"alias/backup": kmsOne}}
	for _, id := range []string{kmsOne, kmsTwo} {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		must(t, err)
		a.keys[id], err = cipher.NewGCM(block)
		must(t, err)
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// keeper is the URL of a key; query is more of it, "&name=value…".
func (a *fakeKMS) keeper(key, query string) string {
	return "awskms://" + key + "?region=eu-west-1&endpoint=" + a.URL + query
}

// set makes calls meet an exception from now on, and forgets the earlier calls.
func (a *fakeKMS) set(fault func(c kmsCall) string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault, a.calls = fault, nil
}

// met gives the calls so far, those of an action or, for "", all.
func (a *fakeKMS) met(action string) []kmsCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(a.calls), func(c kmsCall) bool { return action != "" && c.action != action })
}

var kmsSignature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/[0-9]{8}/([a-z0-9-]+)/kms/aws4_request,`)

func (a *fakeKMS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var in struct {
		KeyId                     string
		Plaintext, CiphertextBlob []byte
		EncryptionContext         map[string]string
	}
	action, known := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	signature := kmsSignature.FindStringSubmatch(r.Header.Get("Authorization"))
	err := json.NewDecoder(r.Body).Decode(&in)
	if r.Method != http.MethodPost || r.URL.Path != "/" || !known || signature == nil || err != nil || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		refuseKMS(w, "UnknownOperationException", "")
		return
	}
	c := kmsCall{action, in.KeyId, signature[1], signature[2]}
	a.calls = append(a.calls, c)
	if a.fault != nil {
		switch name := a.fault(c); name {
		case "":
		case "hang up":
			panic(http.ErrAbortHandler)
		default:
			refuseKMS(w, name, "refused for a test")
			return
		}
	}
	bound, err := json.Marshal(in.EncryptionContext) // its keys are sorted
	if err != nil {
		refuseKMS(w, "KMSInternalException", err.Error())
		return
	}
	switch action {
	case "Encrypt":
		id := a.id(in.KeyId)
		switch {
		case a.keys[id] == nil:
			refuseKMS(w, "NotFoundException", fmt.Sprintf("Alias or key %s is not found.", in.KeyId))
		case len(in.Plaintext) == 0 || len(in.Plaintext) > 4096:
			refuseKMS(w, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096")
		default:
			a.plain = append(a.plain, in.Plaintext)
			nonce := make([]byte, 12)
			rand.Read(nonce)
			answerKMS(w, id, "CiphertextBlob", a.keys[id].Seal(slices.Concat([]byte(id), nonce), nonce, in.Plaintext, bound))
		}
	case "Decrypt":
		blob := in.CiphertextBlob
		if len(blob) < len(kmsOne)+12 || a.keys[string(blob[:len(kmsOne)])] == nil {
			refuseKMS(w, "InvalidCiphertextException", "")
			return
		}
		id, rest := string(blob[:len(kmsOne)]), blob[len(kmsOne):]
		if in.KeyId != "" && a.id(in.KeyId) != id {
			refuseKMS(w, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
			return
		}
		plain, err := a.keys[id].Open(nil, rest[:12], rest[12:], bound)
		if err != nil {
			refuseKMS(w, "InvalidCiphertextException", "")
			return
		}
		answerKMS(w, id, "Plaintext", plain)
	default:
		refuseKMS(w, "UnknownOperationException", "")
	}
}

// id is that of the key of an id, an ARN or an alias.
func (a *fakeKMS) id(name string) string {
	_, key, _ := strings.Cut(name, ":key/")
	return cmp.Or(a.aliases[name], key, name)
}

func answerKMS(w http.ResponseWriter, id, field string, value []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(map[string]any{"KeyId": "arn:aws:kms:eu-west-1:111122223333:key/" + id, field: value, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"})
}

func refuseKMS(w http.ResponseWriter, name, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"__type": name, "message": message})
}

// byHand is what `aws kms decrypt --ciphertext-blob fileb://FILE --query Plaintext
// --output text | base64 -d` does: the bytes of the file are the blob.
func (a *fakeKMS) byHand(t *testing.T, blob []byte) []byte {
	t.Helper()
	body, err := json.Marshal(map[string][]byte{"CiphertextBlob": blob})
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.URL, bytes.NewReader(body))
	must(t, err)
	r.Header.Set("X-Amz-Target", "TrentService.Decrypt")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=BYHAND/20260101/eu-west-1/kms/aws4_request, SignedHeaders=host, Signature=00")
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	var out struct{ Plaintext []byte }
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("decrypt by hand: %s, %v", answer.Status, err)
	}
	return out.Plaintext
}

// discreet fails when what was wrapped, or the credentials, are in a text.
func (a *fakeKMS) discreet(t *testing.T, where, text string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range append([][]byte{[]byte(kmsCanary)}, a.plain...) {
		if strings.Contains(text, string(p)) {
			t.Errorf("%s has a secret in it", where)
		}
	}
}

const kmsCanary = "wJalrXUtnFEMI-K7MDENG-canary"

// kmsEnvironment gives the SDK credentials and nothing of this machine.
func kmsEnvironment(t *testing.T) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	must(t, os.WriteFile(config, []byte("[profile vault]\nregion = us-west-2\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = "+kmsCanary+"\n"), 0o600))
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": kmsCanary, "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": config, "AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_CA_BUNDLE": "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "",
		"AWS_NEW_RETRIES_2026": "true", // as many attempts, with shorter pauses between them
	} {
		t.Setenv(name, value)
	}
}
