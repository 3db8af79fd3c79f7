package territory

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A file is: magic, length of the header (uint32), header (JSON), starts and places of IPv4 ranges, those of IPv6 ranges, the
// table of places, the public key of whoever signed, the signature of all that stands before it. Numbers are big-endian.
const magic = "rempart territory 1\n"

// maxFile bounds what is read.
const maxFile = 64 << 20

// Marshal makes the signed file.
func (d *Data) Marshal(key ed25519.PrivateKey) ([]byte, error) {
	h := d.Header
	h.Version, h.V4, h.V6, h.Places = 1, len(d.v4), len(d.v6), len(d.places)
	head, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("header of territories: %w", err)
	}
	var b bytes.Buffer
	b.WriteString(magic)
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(head)))
	b.Write(n[:])
	b.Write(head)
	for _, part := range []any{d.v4, d.v4at, d.v6, d.v6at, d.places} {
		if err := binary.Write(&b, binary.BigEndian, part); err != nil {
			return nil, fmt.Errorf("write territories: %w", err)
		}
	}
	public, _ := key.Public().(ed25519.PublicKey)
	b.Write(public)
	b.Write(ed25519.Sign(key, b.Bytes()))
	return b.Bytes(), nil
}

// ErrSignature says that a file was not signed by anybody who is trusted, or was changed.
var ErrSignature = errors.New("the file of territories is not signed by a key that is trusted")

// Read checks a file's signature and reads it. Without keys it checks no more than that the file is whole, which is for looking
// at it, never for deciding by it.
func Read(file []byte, trusted []ed25519.PublicKey) (*Data, error) {
	const tail = ed25519.PublicKeySize + ed25519.SignatureSize
	if len(file) > maxFile || len(file) < len(magic)+4+tail || string(file[:len(magic)]) != magic {
		return nil, errors.New("this is no file of territories")
	}
	signed := file[:len(file)-ed25519.SignatureSize]
	key := ed25519.PublicKey(signed[len(signed)-ed25519.PublicKeySize:])
	known := trusted == nil || slices.ContainsFunc(trusted, func(k ed25519.PublicKey) bool { return k.Equal(key) })
	if !known || !ed25519.Verify(key, signed, file[len(signed):]) {
		return nil, ErrSignature
	}
	sum := sha256.Sum256(file)
	d := &Data{Digest: hex.EncodeToString(sum[:16])}
	rest := signed[len(magic) : len(signed)-ed25519.PublicKeySize]
	size := binary.BigEndian.Uint32(rest)
	if rest = rest[4:]; int(size) > len(rest) {
		return nil, errors.New("the file of territories is cut")
	}
	if err := json.Unmarshal(rest[:size], &d.Header); err != nil {
		return nil, fmt.Errorf("header of territories: %w", err)
	}
	return d, d.read(rest[size:])
}

// SignedBy is the key that a file says it is signed with.
func SignedBy(file []byte) string {
	end := len(file) - ed25519.SignatureSize
	if end < ed25519.PublicKeySize {
		return ""
	}
	return base64.StdEncoding.EncodeToString(file[end-ed25519.PublicKeySize : end])
}

// read fills the tables and checks that look-ups cannot leave them.
func (d *Data) read(b []byte) error {
	h := d.Header
	if h.Version != 1 || h.V4 < 0 || h.V6 < 0 || h.Places < 0 || len(h.Sources) > MaxSources ||
		len(b) != h.V4*8+h.V6*12+h.Places*13 {
		return errors.New("the file of territories is of another version, or cut")
	}
	d.v4, d.v4at, d.v6, d.v6at = make([]uint32, h.V4), make([]uint32, h.V4), make([]uint64, h.V6), make([]uint32, h.V6)
	d.places = make([]Place, h.Places)
	r := bytes.NewReader(b)
	for _, part := range []any{d.v4, d.v4at, d.v6, d.v6at, d.places} {
		if err := binary.Read(r, binary.BigEndian, part); err != nil {
			return fmt.Errorf("read territories: %w", err)
		}
	}
	if !slices.IsSorted(d.v4) || !slices.IsSorted(d.v6) {
		return errors.New("the file of territories is not in order")
	}
	for _, list := range [][]uint32{d.v4at, d.v6at} {
		for _, at := range list {
			if int(at) >= h.Places {
				return errors.New("the file of territories names a place that it does not hold")
			}
		}
	}
	d.index()
	return nil
}
