package storage

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// fileOp is what happened to a file, or (ack set) that a write was acknowledged.
type fileOp struct {
	file string
	kind byte // w write, t truncate, s sync, d delete, a acknowledged
	at   int64
	data []byte
}

// recorder is a file layer under SQLite that passes everything on and keeps a log of it. There is one in the process,
// because SQLite's layers are C structures without a place for Go values.
var recorder struct {
	mu       sync.Mutex
	log      []fileOp
	files    map[uintptr]recorded
	vfs      *sqlite3.Tsqlite3_vfs
	replaced map[uintptr]uintptr // methods of SQLite → our copy of them; files with and without locks have their own
}

type recorded struct {
	name    string
	methods *sqlite3.Tsqlite3_io_methods // what we stand in front of
}

const recorderName = "recorder"

func (o fileOp) record() {
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	recorder.log = append(recorder.log, o)
}

// at views memory of SQLite as a Go value.
func at[T any](p uintptr) *T { return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&p))) }

// callable makes a Go function of a C one, address a C one of a Go one: both are pointers to a function's record.
func callable[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }
func address[F any](f F) uintptr  { return *(*uintptr)(unsafe.Pointer(&f)) }
func copied[T any](p uintptr) *T {
	q := libc.Xmalloc(nil, libc.Tsize_t(unsafe.Sizeof(*new(T))))
	*at[T](q) = *at[T](p)
	return at[T](q)
}
func pointer[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

type (
	openFunc   = func(tls *libc.TLS, vfs, path, file uintptr, flags int32, outFlags uintptr) int32
	deleteFunc = func(tls *libc.TLS, vfs, path uintptr, dirSync int32) int32
	closeFunc  = func(tls *libc.TLS, file uintptr) int32
	writeFunc  = func(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32
	truncFunc  = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc   = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// registerRecorder makes the layer known to SQLite, once.
var registerRecorder = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	original := sqlite3.Xsqlite3_vfs_find(tls, 0)
	recorder.vfs = at[sqlite3.Tsqlite3_vfs](original)
	recorder.files, recorder.replaced = map[uintptr]recorded{}, map[uintptr]uintptr{}
	v := copied[sqlite3.Tsqlite3_vfs](original)
	name, err := libc.CString(recorderName)
	if err != nil {
		panic(err)
	}
	v.FzName, v.FpNext = name, 0
	v.FxOpen, v.FxDelete = address[openFunc](recordOpen), address[deleteFunc](recordDelete)
	if rc := sqlite3.Xsqlite3_vfs_register(tls, pointer(v), 0); rc != 0 {
		panic(rc)
	}
})

func recordOpen(tls *libc.TLS, _, path, file uintptr, flags int32, outFlags uintptr) int32 {
	rc := callable[openFunc](recorder.vfs.FxOpen)(tls, pointer(recorder.vfs), path, file, flags, outFlags)
	if rc != 0 || path == 0 {
		return rc
	}
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	f := at[sqlite3.Tsqlite3_file](file)
	recorder.files[file] = recorded{libc.GoString(path), at[sqlite3.Tsqlite3_io_methods](f.FpMethods)}
	ours, known := recorder.replaced[f.FpMethods]
	if !known {
		m := copied[sqlite3.Tsqlite3_io_methods](f.FpMethods)
		m.FxClose, m.FxWrite = address[closeFunc](recordClose), address[writeFunc](recordWrite)
		m.FxTruncate, m.FxSync = address[truncFunc](recordTruncate), address[syncFunc](recordSync)
		ours = pointer(m)
		recorder.replaced[f.FpMethods] = ours
	}
	f.FpMethods = ours
	return rc
}

func recordDelete(tls *libc.TLS, _, path uintptr, dirSync int32) int32 {
	rc := callable[deleteFunc](recorder.vfs.FxDelete)(tls, pointer(recorder.vfs), path, dirSync)
	fileOp{file: libc.GoString(path), kind: 'd'}.record()
	if dirSync != 0 {
		fileOp{file: libc.GoString(path), kind: 's'}.record()
	}
	return rc
}

func fileOf(file uintptr) recorded {
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	return recorder.files[file]
}

func recordClose(tls *libc.TLS, file uintptr) int32 {
	f := fileOf(file)
	recorder.mu.Lock()
	delete(recorder.files, file)
	recorder.mu.Unlock()
	return callable[closeFunc](f.methods.FxClose)(tls, file)
}

func recordWrite(tls *libc.TLS, file, buf uintptr, n int32, offset int64) int32 {
	f := fileOf(file)
	data := append([]byte(nil), unsafe.Slice(at[byte](buf), n)...)
	fileOp{file: f.name, kind: 'w', at: offset, data: data}.record()
	return callable[writeFunc](f.methods.FxWrite)(tls, file, buf, n, offset)
}

func recordTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileOf(file)
	fileOp{file: f.name, kind: 't', at: size}.record()
	return callable[truncFunc](f.methods.FxTruncate)(tls, file, size)
}

// recordSync notes the sync before it is done, so that writes of others meanwhile do not count as synced, but only once
// it has been done do acknowledgements follow.
func recordSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileOf(file)
	fileOp{file: f.name, kind: 's'}.record()
	return callable[syncFunc](f.methods.FxSync)(tls, file, flags)
}

// afterPowerLoss writes the files as they may be found when the power fails after the log's last entry: what was
// synced is there; of the rest each piece may be there, missing, or there in part.
func afterPowerLoss(t *testing.T, log []fileOp, dir string) {
	t.Helper()
	synced := map[string]int{}
	for i, op := range log {
		if op.kind == 's' {
			synced[op.file] = i
		}
	}
	files := map[string][]byte{}
	for i, op := range log {
		if last, ever := synced[op.file]; !ever || i > last {
			op = weakened(op)
		}
		apply(files, op)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// weakened is what may be left of an operation that was not synced.
func weakened(op fileOp) fileOp {
	switch rand.IntN(3) {
	case 0:
		op.kind = 'a' // nothing
	case 1:
		if op.kind == 'w' { // disks write sectors
			op.data = op.data[:rand.IntN(len(op.data)/512+1)*512]
		}
	}
	return op
}

func apply(files map[string][]byte, op fileOp) {
	content := files[op.file]
	switch op.kind {
	case 'w':
		if grow := op.at + int64(len(op.data)) - int64(len(content)); grow > 0 {
			content = append(content, make([]byte, grow)...)
		}
		copy(content[op.at:], op.data)
	case 't':
		content = append(content[:min(op.at, int64(len(content)))], make([]byte, max(0, op.at-int64(len(content))))...)
	case 'd':
		delete(files, op.file)
		return
	default:
		return
	}
	files[op.file] = content
}
