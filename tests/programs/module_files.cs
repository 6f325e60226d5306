using System;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;

// An assembly that is written as several files: another module, one whose file is missing, and one of mere data.
class P {
  static string folder;

  static void Save(string name, bool with_data) {
    var assembly = AppDomain.CurrentDomain.DefineDynamicAssembly(new AssemblyName(name), AssemblyBuilderAccess.RunAndSave, folder);
    var module = assembly.DefineDynamicModule("module of " + name, name + ".netmodule", false);
    module.DefineType(name + "Type", TypeAttributes.Public).CreateType();
    if (with_data) {
      File.WriteAllText(Path.Combine(folder, "data"), "data");
      assembly.AddResourceFile("resource", "data");
    }
    assembly.Save(name + ".dll");
  }

  static void Main() {
    folder = Path.Combine(Path.GetTempPath(), "saki-module-files-" + Guid.NewGuid());
    Directory.CreateDirectory(folder);
    try {
      Save("Whole", true); Save("Partial", false);
      File.Delete(Path.Combine(folder, "Partial.netmodule"));
      var whole = Assembly.LoadFrom(Path.Combine(folder, "Whole.dll"));
      foreach (var module in whole.GetModules(true).OrderBy(module => module.Name))
        Console.WriteLine(module.Name + " " + module.IsResource() + " " + string.Join(",", module.GetTypes().Select(type => type.Name)) + " " + module.GetFields().Length + " " + (module.Assembly == whole) + " " + Path.GetFileName(module.FullyQualifiedName));
      Console.WriteLine(string.Join(" ", whole.GetModules().Select(module => module.Name).OrderBy(name => name)));
      Console.WriteLine(whole.GetModule("data").IsResource() + " " + (whole.GetModule("data").GetField("x") == null) + " " + (whole.GetModule("none") == null));
      try { Console.WriteLine(Assembly.LoadFrom(Path.Combine(folder, "Partial.dll")).GetModules().Length); }
      catch (FileNotFoundException e) { Console.WriteLine("missing " + e.FileName); }
    }
    finally { Directory.Delete(folder, true); }
  }
}
