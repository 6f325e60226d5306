// Instances of generic types and methods made by reflection in many threads at once, delegates of all kinds, expression trees and dynamic methods.
// grows: instances of generic types and methods stay.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Linq.Expressions;
using System.Reflection;
using System.Reflection.Emit;
using System.Threading;

interface IHolder
{
    object Get ();
    string Name ();
}

class Holder<T> : IHolder
{
    static readonly string name = typeof (T).Name;
    public static int Made;
    readonly T value;

    public Holder (T value)
    {
        this.value = value;
        Interlocked.Increment (ref Made);
    }

    public object Get () { return value; }
    public string Name () { return name; }
    public Holder<T[]> Wrap () { return new Holder<T[]> (new [] { value }); }
    public Holder<KeyValuePair<T, U>> With<U> (U other) { return new Holder<KeyValuePair<T, U>> (new KeyValuePair<T, U> (value, other)); }
}

struct Small { public byte Number; }
struct Large { public long First, Second, Third; public string Text; }

static class Program
{
    static readonly Type[] types = {
        typeof (int), typeof (string), typeof (Small), typeof (Large), typeof (double), typeof (object), typeof (DateTime), typeof (List<int>), typeof (long?),
    };

    static void Instances (Random random)
    {
        var type = types [random.Next (types.Length)];
        for (int depth = random.Next (4); depth > 0; depth--)
            type = random.Next (2) == 0 ? type.MakeArrayType () : typeof (Dictionary<,>).MakeGenericType (types [random.Next (types.Length)], type);
        object value = type.IsValueType ? Activator.CreateInstance (type) : null;
        var holder = (IHolder) Activator.CreateInstance (typeof (Holder<>).MakeGenericType (type), new [] { value });
        Stress.Check (holder.Name () == type.Name, "the argument of a generic type");
        Stress.Check (Equals (holder.Get (), value), "a value of a generic type");
        var wrapped = (IHolder) holder.GetType ().GetMethod ("Wrap").Invoke (holder, null);
        Stress.Check (wrapped.Get ().GetType () == type.MakeArrayType (), "an array of a generic type");
        var with = holder.GetType ().GetMethod ("With").MakeGenericMethod (types [random.Next (types.Length)]);
        var argument = with.GetGenericArguments () [0];
        var pair = (IHolder) with.Invoke (holder, new [] { argument.IsValueType ? Activator.CreateInstance (argument) : null });
        Stress.Check (pair.Get ().GetType ().GetGenericTypeDefinition () == typeof (KeyValuePair<,>), "an instance of a generic method");
    }

    static int Add (int a, int b) { return a + b; }
    static int AddTo (int[] array, int b) { return array [0] + b; }

    static void Delegates (Random random)
    {
        int number = random.Next (1000), calls = 0;
        Func<int, int, int> plain = Add;
        Func<int, int> closed = new [] { number }.AddTo2;
        var late = (Func<int, int>) Delegate.CreateDelegate (typeof (Func<int, int>), new [] { number }, typeof (Program).GetMethod ("AddTo", BindingFlags.Static | BindingFlags.NonPublic));
        Stress.Check (plain (number, 2) == number + 2 && closed (3) == number + 3 && late (4) == number + 4, "delegates");
        Stress.Check ((int) plain.DynamicInvoke (number, 5) == number + 5, "a dynamic call");
        Action many = () => calls++;
        for (int i = 0; i < 5; i++)
            many += () => calls += i;
        many ();
        Stress.Check (calls == 1 + 5 * 5, "a list of delegates");
    }

    public static int AddTo2 (this int[] array, int b) { return array [0] + b; }

    static void Dynamic (Random random)
    {
        int number = random.Next (1000);
        var method = new DynamicMethod ("dynamic", typeof (long), new [] { typeof (object[]), typeof (long) }, typeof (Program).Module, true);
        var il = method.GetILGenerator ();
        var end = il.DefineLabel ();
        var sum = il.DeclareLocal (typeof (long));
        il.BeginExceptionBlock ();
        il.Emit (OpCodes.Ldarg_0);
        il.Emit (OpCodes.Ldc_I4, random.Next (3));
        il.Emit (OpCodes.Ldelem_Ref);
        il.Emit (OpCodes.Unbox_Any, typeof (long));
        il.Emit (OpCodes.Ldarg_1);
        il.Emit (OpCodes.Add);
        il.Emit (OpCodes.Ldc_I8, (long) number);
        il.Emit (OpCodes.Add);
        il.Emit (OpCodes.Stloc, sum);
        il.BeginCatchBlock (typeof (InvalidCastException));
        il.Emit (OpCodes.Pop);
        il.Emit (OpCodes.Ldc_I8, -1L);
        il.Emit (OpCodes.Stloc, sum);
        il.EndExceptionBlock ();
        il.Emit (OpCodes.Ldloc, sum);
        il.Emit (OpCodes.Ret);
        var function = (Func<long, long>) method.CreateDelegate (typeof (Func<long, long>), new object [] { 10L, "text", 10L });
        long result = function (7);
        Stress.Check (result == -1 || result == 17 + number, "a dynamic method");
        var parameter = Expression.Parameter (typeof (int));
        var body = Expression.Add (Expression.Multiply (parameter, Expression.Constant (number)), Expression.Constant (3));
        Stress.Check (Expression.Lambda<Func<int, int>> (body, parameter).Compile () (5) == 5 * number + 3, "an expression tree");
    }

    public static void Round (int round)
    {
        Stress.ParallelWithCollections (round, (random, number) => {
            for (int i = 0; i < 20; i++) {
                Instances (random);
                Delegates (random);
                if (i % 5 == 0)
                    Dynamic (random);
            }
        });
    }
}
