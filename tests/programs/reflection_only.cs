// Assemblies that are loaded only to be looked at, and which version of a library serves a reference.
using System;
using System.IO;
using System.Linq;
using System.Reflection;

public class Numbers : System.Collections.ObjectModel.ObservableCollection<int>
{
    public static int Field = 5;
    public static string Method() { return "ran"; }
}

public class Plain
{
    public static int Field = 5;
    public const int Constant = 6;
    public static string Method() { return "ran"; }
}

class Program
{
    static bool answers;

    static void Try(string what, Func<object> action)
    {
        try { Console.WriteLine(what + ": " + (action() ?? "null")); }
        catch (Exception exception)
        {
            Console.WriteLine(what + ": " + exception.GetType() + " " + exception.Message + " " + (exception as FileNotFoundException)?.FileName);
        }
    }

    static Assembly Resolve(object sender, ResolveEventArgs arguments)
    {
        Console.WriteLine("needed: " + arguments.Name + " by " + arguments.RequestingAssembly.GetName().Name);
        return answers ? Assembly.ReflectionOnlyLoad(arguments.Name) : null;
    }

    static string Version(string name)
    {
        var found = Assembly.ReflectionOnlyLoad(name + ", Culture=neutral, PublicKeyToken=b03f5f7f11d50a3a").GetName();
        return found.Name + " " + found.Version;
    }

    static void Main()
    {
        var domain = AppDomain.CurrentDomain;
        domain.ReflectionOnlyAssemblyResolve += Resolve;
        domain.AssemblyResolve += (sender, arguments) => { Console.WriteLine("missing: " + arguments.Name); return null; };
        domain.AssemblyLoad += (sender, arguments) => Console.WriteLine("loaded: " + arguments.LoadedAssembly.GetName().Name + " " + arguments.LoadedAssembly.ReflectionOnly);
        var location = typeof(Program).Assembly.Location;
        Try("nowhere", () => Assembly.ReflectionOnlyLoad("Nowhere"));
        Try("nowhere to run", () => Assembly.Load("Nowhere"));
        Try("no file", () => Assembly.ReflectionOnlyLoadFrom("nowhere.dll"));
        var own = Assembly.ReflectionOnlyLoadFrom(location);
        Try("flag", () => own.ReflectionOnly + " " + typeof(Program).Assembly.ReflectionOnly);
        Try("same", () => own == typeof(Program).Assembly);
        Try("again", () => own == Assembly.ReflectionOnlyLoad(own.FullName));
        Try("to run", () => Assembly.Load(own.FullName) == typeof(Program).Assembly);
        Try("type", () => own.GetType("Plain") == typeof(Plain));
        Try("its base", () => own.GetType("Plain").BaseType == typeof(object));
        Try("call", () => own.GetType("Plain").GetMethod("Method").Invoke(null, null));
        Try("create", () => Activator.CreateInstance(own.GetType("Plain")));
        Try("get", () => own.GetType("Plain").GetField("Field").GetValue(null));
        Try("set", () => { own.GetType("Plain").GetField("Field").SetValue(null, 1); return "set"; });
        Try("constant", () => own.GetType("Plain").GetField("Constant").GetRawConstantValue());
        answers = true;
        Try("derived", () => own.GetType("Numbers"));
        Try("base", () => own.GetType("Numbers").BaseType.Assembly.ReflectionOnly);
        Try("by name", () => Type.ReflectionOnlyGetType("Plain, " + own.FullName, true, false).Assembly.ReflectionOnly);
        Try("no assembly", () => Type.ReflectionOnlyGetType("Plain, Nowhere", false, false));
        Try("core", () => Assembly.ReflectionOnlyLoad("mscorlib").ReflectionOnly);
        Try("bytes", () => Assembly.ReflectionOnlyLoad(File.ReadAllBytes(location)) == own);
        Console.WriteLine(string.Join(" ", domain.ReflectionOnlyGetAssemblies().Select(assembly => assembly.GetName().Name).OrderBy(name => name, StringComparer.Ordinal)));
        Console.WriteLine(domain.GetAssemblies().Any(assembly => assembly.ReflectionOnly));
        Try("older", () => Version("Microsoft.Build.Engine, Version=3.5.0.0"));
        Try("newer", () => Version("Microsoft.Build.Engine, Version=14.0.0.0"));
        Try("renamed", () => Version("Microsoft.Build.Utilities.v3.5, Version=3.5.0.0"));
        Try("renamed", () => Version("Microsoft.Build.Tasks, Version=2.0.0.0"));
        Try("system", () => Version("System.Drawing, Version=2.0.0.0"));
    }
}
