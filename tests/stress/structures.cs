// Trees, lists and tables with checksums that threads build, change and check, while exceptions pass through frames with finally blocks.
using System;
using System.Collections.Generic;

class Node
{
    public Node Left, Right;
    public long Value;
    public object Boxed;
    public byte[] Data;

    public static Node Make (Random random, int depth)
    {
        var node = new Node { Value = random.Next (), Data = new byte [random.Next (40)] };
        node.Boxed = node.Value;
        for (int i = 0; i < node.Data.Length; i++)
            node.Data [i] = (byte) (node.Value + i);
        if (depth > 0) {
            node.Left = Make (random, depth - 1);
            node.Right = Make (random, depth - 1);
        }
        return node;
    }

    public long Sum ()
    {
        Stress.Check ((long) Boxed == Value, "the box");
        for (int i = 0; i < Data.Length; i++)
            Stress.Check (Data [i] == (byte) (Value + i), "the data");
        return Value + (Left == null ? 0 : Left.Sum () * 3) + (Right == null ? 0 : Right.Sum () * 5);
    }
}

class Carrier : Exception
{
    public Node Node;
    public long Sum;
}

struct Pair
{
    public Node Node;
    public long Sum;
}

static class Program
{
    static readonly Pair[] shared = new Pair [64];

    static int Throw (Random random, int depth, List<int> order)
    {
        var mine = Node.Make (random, 2);
        long sum = mine.Sum ();
        try {
            if (depth == 0)
                throw new Carrier { Node = mine, Sum = sum };
            return Throw (random, depth - 1, order) + 1;
        } catch (InvalidOperationException) {
            Stress.Check (false, "the kind of the exception");
            return 0;
        } finally {
            Stress.Check (mine.Sum () == sum, "a tree in a finally block");
            order.Add (depth);
            GC.KeepAlive (new object [random.Next (100)]);
        }
    }

    static void Exceptions (Random random)
    {
        int depth = random.Next (12);
        var order = new List<int> ();
        try {
            Throw (random, depth, order);
            Stress.Check (false, "the throw");
        } catch (Carrier carrier) when (carrier.Node.Sum () == carrier.Sum) {
            Stress.Check (order.Count == depth + 1, "the number of finally blocks");
            for (int i = 0; i <= depth; i++)
                Stress.Check (order [i] == i, "the order of finally blocks");
            Stress.Check (carrier.Node.Sum () == carrier.Sum, "the tree of an exception");
        }
        try {
            object text = "text";
            Stress.Check ((Node) text == null, "a cast");
        } catch (InvalidCastException) {
        }
        try {
            Node none = null;
            none.Value++;
            Stress.Check (false, "a null reference");
        } catch (NullReferenceException) {
        }
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            var kept = new Pair [50];
            var mine = Node.Make (random, 1);
            long sum;
            for (int i = 0; i < 400; i++) {
                int at = random.Next (kept.Length);
                if (kept [at].Node != null)
                    Stress.Check (kept [at].Node.Sum () == kept [at].Sum, "a tree that was kept");
                var node = Node.Make (random, random.Next (8));
                kept [at] = new Pair { Node = node, Sum = node.Sum () };
                lock (shared) {
                    int place = random.Next (shared.Length);
                    if (shared [place].Node != null)
                        Stress.Check (shared [place].Node.Sum () == shared [place].Sum, "a tree of another thread");
                    shared [place] = kept [random.Next (kept.Length)];
                }
                // An old object gets young ones; nobody else knows it.
                mine.Left = Node.Make (random, 4);
                mine.Right = random.Next (2) == 0 ? null : mine.Left;
                sum = mine.Sum ();
                GC.KeepAlive (new byte [random.Next (2000)]);
                Stress.Check (mine.Sum () == sum, "a tree that changed");
                Exceptions (random);
            }
        });
    }
}
