// Assemblies by the names of their files: paths, addresses, and what is none.
using System;
using System.IO;
using System.Reflection;
using System.Reflection.Emit;

class Program
{
    static void Show(string name, Func<Assembly> load)
    {
        try
        {
            Console.WriteLine(name + ": " + load().GetType(typeof(Program).Name));
        }
        catch (Exception exception)
        {
            Console.WriteLine(name + ": " + exception.GetType().Name + ": " + exception.Message);
        }
    }

    static void Main()
    {
        var folder = Path.Combine(Path.GetTempPath(), "saki assembly files " + Guid.NewGuid());
        Directory.CreateDirectory(folder);
        try
        {
            var copy = Path.Combine(folder, "copy.exe");
            var text = Path.Combine(folder, "text.dll");
            File.Copy(typeof(Program).Assembly.Location, copy);
            File.WriteAllText(text, "text");
            Show("path", () => Assembly.LoadFrom(copy));
            Show("address", () => Assembly.LoadFrom("file://" + copy));
            Show("host", () => Assembly.LoadFrom("file://host" + copy));
            Show("escape", () => Assembly.LoadFrom("file://" + copy.Replace(" ", "%20")));
            Show("missing", () => Assembly.LoadFrom(copy + "x"));
            Show("no image", () => Assembly.LoadFrom(text));
            Show("folder", () => Assembly.LoadFrom(folder));
            Show("file", () => Assembly.LoadFile(copy));
            Show("relative", () => Assembly.LoadFile("copy.exe"));
            Show("missing file", () => Assembly.LoadFile(copy + "x"));
            Show("no file", () => Assembly.LoadFile(text));
            // By a name that no file has, with the address of one that has it, or has not.
            var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName("inside"), AssemblyBuilderAccess.Save, folder);
            assembly.DefineDynamicModule("inside", "outside.dll").DefineType("Program", TypeAttributes.Public).CreateType();
            assembly.Save("outside.dll");
            var inside = AssemblyName.GetAssemblyName(Path.Combine(folder, "outside.dll"));
            Show("name and address", () => Assembly.Load(inside));
            inside.Name = "absent";
            Show("other name", () => Assembly.Load(inside));
            Show("name alone", () => Assembly.Load("absent"));
            Show("name alone, to look at", () => Assembly.ReflectionOnlyLoad("absent"));
            // In another domain, by an address.
            var domain = AppDomain.CreateDomain("other");
            var handle = domain.CreateInstanceFrom("file://" + copy, "Remote");
            Console.WriteLine(((Remote)handle.Unwrap()).Name());
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}

public class Remote : MarshalByRefObject
{
    public string Name() { return AppDomain.CurrentDomain.FriendlyName; }
}
