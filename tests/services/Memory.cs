// Allocation, collections, handles, finalizers, copying.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static Services;

static class Memory
{
    class Finalized { ~Finalized() { Sink++; } }

    public static void Run()
    {
        Measure("new-object", 10000000, count => { for (int i = 0; i < count; i++) ObjectSink = new object(); });
        Measure("new-array-1-kb", 300000, count => { for (int i = 0; i < count; i++) ObjectSink = new byte[1000]; });
        Measure("new-array-100-kb", 10000, count => { for (int i = 0; i < count; i++) ObjectSink = new byte[100000]; });
        Measure("clone", 1000000, count => { var numbers = new int[4]; for (int i = 0; i < count; i++) ObjectSink = numbers.Clone(); });
        Measure("copy-array", 1000000, count => { var one = new int[100]; var other = new int[100]; for (int i = 0; i < count; i++) Array.Copy(one, other, 100); });
        Measure("copy-array-of-references", 1000000, count => { var one = new object[20]; var other = new object[20]; for (int i = 0; i < count; i++) Array.Copy(one, other, 20); });
        Measure("handle", 500000, count => { var o = new object(); for (int i = 0; i < count; i++) { var handle = GCHandle.Alloc(o); Sink += handle.Target == o ? 1 : 0; handle.Free(); } });
        Measure("weak-reference", 200000, count => { var o = new object(); for (int i = 0; i < count; i++) Sink += new WeakReference(o).IsAlive ? 1 : 0; });
        Measure("conditional-weak-table", 100000, count => { var table = new ConditionalWeakTable<object, object>(); for (int i = 0; i < count; i++) table.Add(new object(), "x"); });
        Measure("hash-code", 2000000, count => { var o = new object(); for (int i = 0; i < count; i++) Sink += o.GetHashCode(); });
        Measure("hash-code-of-new", 500000, count => { for (int i = 0; i < count; i++) Sink += new object().GetHashCode(); });
        Measure("finalizer", 200000, count => { for (int i = 0; i < count; i++) new Finalized(); GC.Collect(); GC.WaitForPendingFinalizers(); });
        Measure("collect", 100, count => { for (int i = 0; i < count; i++) GC.Collect(); });
        Measure("collect-young", 300, count => { for (int i = 0; i < count; i++) GC.Collect(0); });
    }
}
