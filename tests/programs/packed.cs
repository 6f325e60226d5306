// Fields at addresses that are not aligned for them: packed structures, alone, nested, in arrays and objects.
using System;
using System.Runtime.InteropServices;

[StructLayout(LayoutKind.Sequential, Pack = 1)]
struct Packed { public byte a; public float b; public double c; public long d; public short e; public int f; }

[StructLayout(LayoutKind.Sequential, Pack = 1)]
struct Point { public float x, y; }

[StructLayout(LayoutKind.Sequential, Pack = 1)]
struct Nested { public byte a; public Point point; public Packed packed; }

[StructLayout(LayoutKind.Explicit)]
struct Explicit { [FieldOffset(0)] public byte a; [FieldOffset(3)] public double b; [FieldOffset(13)] public float c; }

[StructLayout(LayoutKind.Sequential, Pack = 1)]
class Holder { public byte a; public float b; public Packed packed; public Point point; public double c; }

static class Program
{
    static Nested[] nested = new Nested[3];

    static Point Add(Point left, Point right) { return new Point { x = left.x + right.x, y = left.y + right.y }; }
    static Packed Double(Packed p) { p.b *= 2; p.c *= 2; p.d *= 2; p.e *= 2; p.f *= 2; return p; }
    static string Show(Packed p) { return p.a + " " + p.b + " " + p.c + " " + p.d + " " + p.e + " " + p.f; }
    static void Set(ref Packed p, int n)
    {
        p.a = (byte)n; p.b = n + 0.5f; p.c = n + 0.25; p.d = (1L << 40) + n; p.e = (short)-n; p.f = 1000 * n;
    }

    static unsafe void Main()
    {
        for (int i = 0; i < nested.Length; i++) {
            nested[i].point.x = i + 0.5f;
            nested[i].point.y = i - 0.5f;
            Set(ref nested[i].packed, i);
        }
        Point sum = new Point();
        for (int i = 0; i < nested.Length; i++) {
            sum = Add(sum, nested[i].point);
            nested[i].packed = Double(nested[i].packed);
            Console.WriteLine(Show(nested[i].packed));
        }
        Console.WriteLine("{0} {1}, size {2}", sum.x, sum.y, sizeof(Nested));

        var holder = new Holder { a = 1, b = 2.5f, c = 3.25, point = sum };
        Set(ref holder.packed, 7);
        holder.packed.c += holder.b * holder.packed.b;
        Nested copy = nested[2];
        copy.packed = holder.packed;
        Console.WriteLine("{0} {1} {2} {3}", holder.b, holder.c, holder.point.x, Show(copy.packed));

        Explicit overlay = new Explicit { a = 1, b = 1.5, c = 2.5f };
        Explicit[] overlays = { overlay, overlay };
        overlays[1].b += overlays[0].b * overlays[0].c;
        Console.WriteLine("{0} {1}", overlays[1].b, overlays[1].c);

        byte* bytes = stackalloc byte[64];
        Packed* pointer = (Packed*)(bytes + 1);
        *pointer = copy.packed;
        pointer->c -= 1;
        Console.WriteLine("{0} {1}", pointer->b, pointer->c);
    }
}
