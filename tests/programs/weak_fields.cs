// Fields marked with System.WeakAttribute do not keep their objects. The core library lacks the attribute, and Mono heeds it from one more
// library only: this program makes that one, and one with classes that use it.
using System;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;
using System.Threading;

class Item { public string Name; public Item (string name) { Name = name; } ~Item () { } }

static class Program {
    static string folder;

    static AssemblyBuilder Define (string name, out ModuleBuilder module) {
        var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly (new AssemblyName (name), AssemblyBuilderAccess.RunAndSave, folder);
        module = assembly.DefineDynamicModule (name, name + ".dll");
        return assembly;
    }

    static FieldBuilder Field (TypeBuilder type, string name, Type fieldType, ConstructorInfo mark) {
        var field = type.DefineField (name, fieldType, FieldAttributes.Public);
        if (mark != null)
            field.SetCustomAttribute (new CustomAttributeBuilder (mark, new object [0]));
        return field;
    }

    static void MakeLibraries () {
        ModuleBuilder module;
        var library = Define ("Mono.Runtime.Testing", out module);
        var attribute = module.DefineType ("System.WeakAttribute", TypeAttributes.Public, typeof (Attribute));
        var mark = attribute.DefineDefaultConstructor (MethodAttributes.Public);
        attribute.CreateType ();
        library.Save ("Mono.Runtime.Testing.dll");

        library = Define ("holders", out module);
        var holder = module.DefineType ("Holder", TypeAttributes.Public, typeof (object));
        Field (holder, "Weak", typeof (object), mark);
        Field (holder, "Strong", typeof (object), null);
        Field (holder, "Second", typeof (object), mark);
        Field (holder, "Number", typeof (int), mark);
        holder.DefineDefaultConstructor (MethodAttributes.Public);
        holder.CreateType ();
        var derived = module.DefineType ("Derived", TypeAttributes.Public, holder);
        Field (derived, "Text", typeof (string), mark);
        Field (derived, "Kept", typeof (string), null);
        derived.DefineDefaultConstructor (MethodAttributes.Public);
        derived.CreateType ();
        library.Save ("holders.dll");
    }

    // What a method leaves in registers and on the stack must not keep anything: all is done on a thread that ends.
    static void Apart (ThreadStart action) { var thread = new Thread (action); thread.Start (); thread.Join (); }
    static void Collect () { for (int i = 0; i < 3; i++) { Apart (() => { GC.Collect (); }); GC.WaitForPendingFinalizers (); } }

    const int Count = 20;
    static object[] holders = new object [Count], copies = new object [Count];
    static Item[] kept = new Item [Count];

    static object Get (object of, string field) { return of.GetType ().GetField (field).GetValue (of); }
    static void Set (object of, string field, object value) { of.GetType ().GetField (field).SetValue (of, value); }

    // A word that happens to lie on a stack may keep one of many.
    static void Show (object[] all) {
        Apart (() => {
            foreach (var field in new [] { "Weak", "Strong", "Second", "Text", "Kept" }) {
                int there = 0;
                foreach (var of in all)
                    if (Get (of, field) != null)
                        there++;
                Console.Write ("{0} {1}, ", field, there == Count ? "there" : there < Count / 4 ? "gone" : there.ToString ());
            }
            Console.WriteLine (Get (all [0], "Number"));
        });
    }

    static void Fill (Type type, int i) {
        var holder = Activator.CreateInstance (type);
        kept [i] = new Item ("kept" + i);
        Set (holder, "Weak", new Item ("weak"));
        Set (holder, "Strong", new Item ("strong" + i));
        Set (holder, "Second", kept [i]);
        Set (holder, "Number", 7);
        Set (holder, "Text", "text of " + i);
        Set (holder, "Kept", "kept of " + i);
        holders [i] = holder;
        copies [i] = typeof (object).GetMethod ("MemberwiseClone", BindingFlags.Instance | BindingFlags.NonPublic).Invoke (holder, null);
    }

    static void Use () {
        var type = Assembly.LoadFrom (Path.Combine (folder, "holders.dll")).GetType ("Derived");
        Apart (() => { for (int i = 0; i < Count; i++) Fill (type, i); });
        Collect ();
        Show (holders);
        Show (copies);
        Apart (() => {
            Console.WriteLine (((Item) Get (holders [3], "Second")).Name);
            for (int i = 0; i < Count; i++) {
                // Young objects in a field of an old one.
                Set (holders [i], "Weak", new Item ("another"));
                Set (copies [i], "Text", Get (copies [i], "Kept"));
                kept [i] = null;
            }
        });
        Apart (() => {
            for (int i = 0; i < 10; i++) {
                GC.Collect (0);
                for (int j = 0; j < 100; j++)
                    Set (Activator.CreateInstance (type), "Weak", new Item ("x"));
            }
        });
        Collect ();
        Show (holders);
        Show (copies);
        Apart (() => Console.WriteLine (((Item) Get (holders [4], "Strong")).Name + " " + Get (copies [5], "Text")));
    }

    static void Main () {
        folder = Path.Combine (Path.GetTempPath (), "weak-fields-" + Guid.NewGuid ());
        Directory.CreateDirectory (folder);
        try {
            MakeLibraries ();
            Use ();
        } finally {
            Directory.Delete (folder, true);
        }
    }
}
