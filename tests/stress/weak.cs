// Weak references, finalisers, resurrection, ConditionalWeakTable, and handles of all kinds.
using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

class Counted
{
    public static int Made, Finalized;
    public readonly int Number = Interlocked.Increment (ref Made);
    readonly Counted other;
    readonly int[] data;

    public Counted (Counted other)
    {
        this.other = other;
        data = new int [] { Number, Number + 1, Number + 2 };
    }

    ~Counted ()
    {
        Interlocked.Increment (ref Finalized);
        if (data [0] != Number || data [2] != Number + 2 || other != null && other.data [1] != other.Number + 1)
            Environment.FailFast ("a finaliser sees garbage");
    }
}

class Phoenix
{
    public static readonly List<Phoenix> Risen = new List<Phoenix> ();
    public static int Risings;
    public int Lives = 2;
    public string Text = new string ('x', 20);

    ~Phoenix ()
    {
        if (--Lives > 0)
            GC.ReRegisterForFinalize (this);
        Interlocked.Increment (ref Risings);
        lock (Risen)
            Risen.Add (this);
    }
}

class Key
{
    public int Number;
}

class Value
{
    public Key Key;
    public int Number;
}

static class Program
{
    static readonly ConditionalWeakTable<Key, Value> table = new ConditionalWeakTable<Key, Value> ();
    static int phoenixes;

    [MethodImpl (MethodImplOptions.NoInlining)]
    static void Finalizers (Random random)
    {
        Counted last = null;
        for (int i = 0; i < 200; i++) {
            last = new Counted (random.Next (3) == 0 ? last : null);
            if (random.Next (10) == 0) {
                new Phoenix ();
                Interlocked.Increment (ref phoenixes);
            }
        }
    }

    [MethodImpl (MethodImplOptions.NoInlining)]
    static void Weak (Random random)
    {
        var kept = new List<Key> ();
        var weak = new List<WeakReference> ();
        var typed = new List<WeakReference<Key>> ();
        for (int i = 0; i < 100; i++) {
            var key = new Key { Number = i };
            kept.Add (random.Next (2) == 0 ? key : null);
            weak.Add (new WeakReference (key, random.Next (2) == 0));
            typed.Add (new WeakReference<Key> (key));
        }
        if (random.Next (4) == 0)
            GC.Collect (random.Next (2));
        for (int i = 0; i < 100; i++) {
            var target = (Key) weak [i].Target;
            Key other;
            bool there = typed [i].TryGetTarget (out other);
            Stress.Check (kept [i] == null || target == kept [i] && other == kept [i], "a weak reference to what is kept");
            Stress.Check (target == null || target.Number == i, "a weak reference");
            Stress.Check (!there || other.Number == i, "a typed weak reference");
        }
    }

    [MethodImpl (MethodImplOptions.NoInlining)]
    static void Ephemerons (Random random)
    {
        var keys = new List<Key> ();
        for (int i = 0; i < 100; i++) {
            var key = new Key { Number = i };
            table.Add (key, new Value { Key = key, Number = i * 7 });
            if (random.Next (3) == 0)
                keys.Add (key);
        }
        if (random.Next (4) == 0)
            GC.Collect (random.Next (2));
        foreach (var key in keys) {
            Value value;
            Stress.Check (table.TryGetValue (key, out value), "a value of a living key");
            Stress.Check (value.Key == key && value.Number == key.Number * 7, "the value of a key");
            if (random.Next (3) == 0)
                Stress.Check (table.Remove (key) && !table.TryGetValue (key, out value), "a key that is removed");
        }
    }

    [MethodImpl (MethodImplOptions.NoInlining)]
    static unsafe void Handles (Random random)
    {
        var handles = new GCHandle [60];
        var addresses = new IntPtr [handles.Length];
        for (int i = 0; i < handles.Length; i++) {
            var data = new int [random.Next (1, 3000)];
            data [0] = data [data.Length - 1] = i;
            handles [i] = GCHandle.Alloc (data, (GCHandleType) (i % 4));
            if (i % 4 == (int) GCHandleType.Pinned)
                addresses [i] = handles [i].AddrOfPinnedObject ();
        }
        if (random.Next (4) == 0)
            GC.Collect (random.Next (2));
        for (int i = 0; i < handles.Length; i++) {
            var data = (int[]) handles [i].Target;
            Stress.Check (data != null || i % 4 < 2, "the target of a strong handle");
            Stress.Check (data == null || data [0] == i && data [data.Length - 1] == i, "the target of a handle");
            if (i % 4 == (int) GCHandleType.Pinned) {
                Stress.Check (*(int*) addresses [i] == i, "a pinned array");
                fixed (int* start = data)
                    Stress.Check ((IntPtr) start == addresses [i], "the address of a pinned array");
            }
            if (random.Next (2) == 0 && i % 4 != (int) GCHandleType.Pinned) {
                handles [i].Target = "other";
                Stress.Check (i % 4 < 2 || (string) handles [i].Target == "other", "a target that was set");
            }
            var again = GCHandle.FromIntPtr (GCHandle.ToIntPtr (handles [i]));
            Stress.Check (again == handles [i], "a handle as a number");
            handles [i].Free ();
            Stress.Check (!handles [i].IsAllocated, "a handle that was freed");
        }
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < 30; i++) {
                Finalizers (random);
                Weak (random);
                Ephemerons (random);
                Handles (random);
            }
        });
        // Conservative scanning of stacks may keep a few.
        Stress.Check (Stress.CollectUntil (() => Counted.Finalized >= Counted.Made - Counted.Made / 50 - 5), "all is finalised");
        Stress.Check (Counted.Finalized <= Counted.Made, "nothing is finalised twice");
        Func<bool> risen = () => {
            lock (Phoenix.Risen) {
                foreach (var phoenix in Phoenix.Risen)
                    Stress.Check (phoenix.Text == "xxxxxxxxxxxxxxxxxxxx" && phoenix.Lives >= 0, "a resurrected object");
                Phoenix.Risen.Clear ();
            }
            return Phoenix.Risings >= phoenixes * 2 - phoenixes / 20 - 5;
        };
        Stress.Check (Stress.CollectUntil (risen), "all are resurrected twice");
        Stress.Check (Phoenix.Risings <= phoenixes * 2, "none is resurrected more often");
    }
}
