package bus

import (
	"slices"
	"sync"
	"testing"
)

func TestPublishReachesAllInOrder(t *testing.T) {
	b := New[int]()
	b.Publish(0) // nobody listens yet
	var heard []string
	b.Subscribe(func(v int) { heard = append(heard, "a"+string(rune('0'+v))) })
	b.Subscribe(func(v int) { heard = append(heard, "b"+string(rune('0'+v))) })
	b.Publish(1)
	b.Publish(2)
	if want := []string{"a1", "b1", "a2", "b2"}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, want %v", heard, want)
	}
}

func TestSubscriberMaySubscribe(t *testing.T) {
	b := New[int]()
	late := 0
	b.Subscribe(func(int) { b.Subscribe(func(int) { late++ }) })
	b.Publish(1)
	b.Publish(2)
	if late != 1 {
		t.Errorf("the late subscriber heard %d values, want 1", late)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := New[int]()
	var mu sync.Mutex
	sum := 0
	b.Subscribe(func(v int) { mu.Lock(); sum += v; mu.Unlock() })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				b.Publish(1)
				b.Subscribe(func(int) {})
			}
		})
	}
	wg.Wait()
	if sum != 400 {
		t.Errorf("heard %d values, want 400", sum)
	}
}
